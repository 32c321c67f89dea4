/** The decoder of BlurHash (github.com/woltapp/blurhash, Algorithm.md): a few characters become a blurred picture. */

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~';

const number = (text: string): number => [...text].reduce((value, digit) => value * 83 + DIGITS.indexOf(digit), 0);
const toLinear = (value: number): number => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
const toByte = (value: number): number => {
  const clamped = Math.min(1, Math.max(0, value));
  return Math.round(255 * (clamped <= 0.0031308 ? clamped * 12.92 : 1.055 * clamped ** (1 / 2.4) - 0.055));
};
const signedSquare = (value: number): number => Math.sign(value) * value * value;

/** RGBA bytes, row by row, or null when it isn't a BlurHash. */
export function decodeBlurhash(hash: string, width: number, height: number): Uint8ClampedArray<ArrayBuffer> | null {
  if (hash.length < 6 || [...hash].some((digit) => !DIGITS.includes(digit))) return null;
  const size = number(hash.charAt(0));
  const [across, down] = [(size % 9) + 1, Math.floor(size / 9) + 1];
  if (hash.length !== 4 + 2 * across * down) return null;
  const most = (number(hash.charAt(1)) + 1) / 166;
  const average = number(hash.slice(2, 6));
  const colours = [[toLinear(average >> 16), toLinear((average >> 8) & 255), toLinear(average & 255)]];
  for (let at = 6; at < hash.length; at += 2) {
    const value = number(hash.slice(at, at + 2));
    colours.push([Math.floor(value / 361), Math.floor(value / 19) % 19, value % 19].map((level) => signedSquare((level - 9) / 9) * most));
  }
  const pixels = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) {
      const rgb: [number, number, number] = [0, 0, 0];
      colours.forEach(([red = 0, green = 0, blue = 0], i) => {
        const basis = Math.cos((Math.PI * x * (i % across)) / width) * Math.cos((Math.PI * y * Math.floor(i / across)) / height);
        rgb[0] += red * basis;
        rgb[1] += green * basis;
        rgb[2] += blue * basis;
      });
      pixels.set([...rgb.map(toByte), 255], 4 * (y * width + x));
    }
  return pixels;
}
