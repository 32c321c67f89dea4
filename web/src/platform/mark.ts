/** Ten dots, one a system, as the triangle of one, two, three and four: the mark, small in the header and large at home. */
const NAMES = ['links', 'rides', 'recommend', 'messages', 'coder', 'feed', 'answers', 'chat', 'images', 'video'] as const;

/** Centres in units of the distance between two dots: x from the middle, y from the first row. */
export const dots = NAMES.map((name, i) => {
  const row = i === 0 ? 0 : i < 3 ? 1 : i < 6 ? 2 : 3;
  return { name, x: i - (row * (row + 1)) / 2 - row / 2, y: row * Math.sqrt(0.75) };
});
