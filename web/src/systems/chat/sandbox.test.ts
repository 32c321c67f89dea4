import { expect, test } from 'vitest';
import { wallOf } from './sandbox';

const traced = (last: string): string => `Traceback (most recent call last):\n  File "main.py", line 1, in <module>\n    run()\n${last}\n`;

test('what only fails here is explained', () => {
  expect(wallOf(traced("PermissionError: Permission denied: '/etc/passwd'"))).toContain('without files');
  expect(wallOf(traced("ModuleNotFoundError: No module named 'numpy'"))).toContain('no packages');
  expect(wallOf(traced('TimeoutError: time limit exceeded'))).toContain('few seconds');
});

test('a mistake of the program is its own', () => {
  expect(wallOf(traced('ZeroDivisionError: division by zero'))).toBeNull();
  expect(wallOf(traced("ValueError: not a PermissionError: 'x'"))).toBeNull();
  expect(wallOf('')).toBeNull();
});
