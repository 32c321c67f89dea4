import { describe, expect, it } from 'vitest';
import type { Tier } from './api';
import { awaited, progressOf, secondsLeft, span, waitingFor } from './models';

const tier = (name: string, state: Tier['state'], done = 0, size = 491e6): Tier => ({ name, title: name, model: name, state, done, size, replicas: [] });

describe('awaited', () => {
  it('is nothing once one of the possible models is ready', () => {
    const tiers = [tier('fast', 'ready'), tier('smart', 'pulling'), tier('embed', 'down')];
    expect([awaited('auto', tiers), awaited('fast', tiers), awaited('smart', tiers)?.name]).toEqual([null, null, 'smart']);
  });
  it('is what comes first', () => {
    expect(awaited('auto', [tier('fast', 'pulling', 10e6), tier('smart', 'starting'), tier('code', 'ready')])?.name).toBe('smart');
    expect(awaited('auto', [tier('smart', 'pulling', 0, 1117e6), tier('fast', 'pulling', 10e6)])?.name).toBe('fast');
    expect(awaited('auto', [tier('smart', 'down'), tier('fast', 'pulling')])?.name).toBe('fast');
  });
  it('doesn’t hold up anybody while nothing is known', () => expect(awaited('auto', [])).toBeNull());
});

describe('progressOf', () => {
  it.each([[212.4e6, 491.4e6, '212 of 491 MB'], [0.2e9, 1.117e9, '0.20 of 1.12 GB'], [600e6, 491e6, '491 of 491 MB']])('%d of %d', (done, size, expected) => expect(progressOf({ done, size })).toBe(expected));
});

describe('secondsLeft', () => {
  it('goes by the pace so far', () => {
    expect(secondsLeft({ done: 200e6, size: 300e6 }, [{ at: 0, done: 100e6 }, { at: 5000, done: 200e6 }])).toBe(5);
  });
  it('says nothing too early, or when nothing moves', () => {
    expect(secondsLeft({ done: 1, size: 2 }, [])).toBeNull();
    expect(secondsLeft({ done: 1, size: 2 }, [{ at: 0, done: 0 }, { at: 500, done: 1 }])).toBeNull();
    expect(secondsLeft({ done: 1, size: 2 }, [{ at: 0, done: 1 }, { at: 5000, done: 1 }])).toBeNull();
  });
});

describe('waitingFor', () => {
  it('says from when one can ask', () => {
    expect(waitingFor(tier('fast', 'pulling'), 130)).toBe('You can ask in about 3 minutes.');
    expect(waitingFor(tier('fast', 'pulling'), null)).toContain('as soon as');
    expect(waitingFor(tier('fast', 'starting'), null)).toContain('starting');
    expect([span(3), span(42), span(58)]).toEqual(['a few seconds', 'about 45 seconds', 'about a minute']);
  });
});
