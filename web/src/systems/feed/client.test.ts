import { describe, expect, it } from 'vitest';
import { errorOf, nextOf } from './client';

describe('nextOf', () => {
  it('takes the query of the next page, whatever the server calls itself', () => {
    expect(nextOf('<http://10.0.0.1/api/v1/timelines/home?limit=20&max_id=7>; rel="next", <http://10.0.0.1/api/v1/timelines/home?min_id=9>; rel="prev"')).toEqual({ limit: '20', max_id: '7' });
    expect(nextOf('<https://a.example/x?min_id=9>; rel="prev", <https://a.example/x?max_id=7>; rel="next"')).toEqual({ max_id: '7' });
  });
  it('is nothing at the end', () => {
    expect([nextOf(null), nextOf('<https://a.example/x?min_id=9>; rel="prev"')]).toEqual([null, null]);
  });
});

describe('errorOf', () => {
  it('has the server’s words', () => {
    expect(errorOf(422, '{"error":"Validation failed"}')).toMatchObject({ status: 422, message: 'Validation failed' });
    expect(errorOf(422, '{"error":"Some of it isn’t valid.","details":{"status":"is too long"}}').fields).toEqual({ status: 'is too long' });
    expect(errorOf(503, '{"title":"Busy","detail":"Try later.","code":"busy","status":503}')).toMatchObject({ code: 'busy', message: 'Try later.' });
  });
  it('has words of its own for a proxy’s page', () => {
    expect(errorOf(502, '<h1>Bad gateway</h1>').message).toContain('502');
    expect(errorOf(404, '').message).toContain('404');
  });
});
