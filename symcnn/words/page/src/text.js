// Numbers and shapes as text.

/** 25557032n as 25,557,032. */
export function digits(value) {
  return value === null ? "?" : String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

const UNITS = [[10n ** 15n, "P"], [10n ** 12n, "T"], [10n ** 9n, "G"], [10n ** 6n, "M"], [10n ** 3n, "k"]];

/** 4089184256n as 4.09 G; small numbers as nothing. */
export function rounded(value) {
  const unit = UNITS.find(([size]) => value !== null && value >= size);
  if (!unit) return "";
  const hundredths = (value * 100n + unit[0] / 2n) / unit[0];
  return `${hundredths / 100n}.${String(hundredths % 100n).padStart(2, "0")} ${unit[1]}`;
}

/** A shape as 1×256×14×14. */
export function shapeText(sizes) {
  return sizes.length ? sizes.map((x) => (x === null ? "?" : String(x))).join("×") : "scalar";
}

/** A size that somebody typed: a number, or what is wrong with it. */
export function parseSize(text, { name, least }) {
  const plain = text.trim();
  if (plain === "") return { error: `${name} has no size: write a whole number` };
  if (/^\d+\.0*$/.test(plain)) return { value: BigInt(plain.split(".")[0]) };
  if (!/^[+-]?\d+$/.test(plain)) return { error: `${name}: “${plain}” is not a whole number` };
  const value = BigInt(plain.replace("+", ""));
  if (value < BigInt(least)) return { error: `${name}: sizes begin at ${least}, not ${value}` };
  if (value >= 1n << 63n) return { error: `${name}: sizes end below 2⁶³` };
  return { value };
}

/** Text on the clipboard, with a table beside it where there is one. */
export async function copy(text, html) {
  try {
    if (html && window.ClipboardItem) {
      const parts = { "text/plain": new Blob([text], { type: "text/plain" }), "text/html": new Blob([html], { type: "text/html" }) };
      await navigator.clipboard.write([new ClipboardItem(parts)]);
    } else await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
