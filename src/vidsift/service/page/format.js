// Numbers, times and names as people read them.

/** Seconds as a clock shows them: 0:07, 12:03, 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** The same to a tenth of a second, for short things; whole seconds have none. */
export function fineClock(seconds) {
  const tenths = Math.round(Math.max(0, seconds) * 10);
  return `${clock(Math.floor(tenths / 10))}${tenths % 10 ? `.${tenths % 10}` : ""}`;
}

/** From when to when; tenths where whole seconds would tell nothing. */
export function span(start, end) {
  const fine = end - start < 4;
  const [from, to] = fine ? [fineClock(start), fineClock(end)] : [clock(start), clock(end)];
  return from === to ? from : `${from}\u2009–\u2009${to}`;
}

/** Seconds in words, for screen readers: "1 minute 5 seconds". */
export function spoken(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor(whole / 60) % 60, "minute"],
    [whole % 60, "second"],
  ].filter(([number], place) => number || (place === 2 && whole < 60));
  return parts.map(([number, unit]) => counted(number, unit)).join(" ");
}

/** How long something takes, as roughly as it is known: "about 10 minutes". */
export function about(seconds) {
  const minutes = seconds / 60;
  if (minutes < 0.75) return "less than a minute";
  if (minutes < 1.5) return "about a minute";
  if (minutes < 10) return `about ${Math.round(minutes)} minutes`;
  if (minutes < 57.5) return `about ${5 * Math.round(minutes / 5)} minutes`;
  const halfHours = Math.round(minutes / 30);
  return halfHours === 2 ? "about an hour" : `about ${halfHours / 2} hours`;
}

/** A long time as [number, unit], as roughly as people count it: ["1.4", "hours"]. */
export function amountOfTime(seconds) {
  const [size, unit] = seconds < 60 ? [1, "second"] : seconds < 5400 ? [60, "minute"] : [3600, "hour"];
  const value = seconds / size;
  const shown = number(size === 3600 && value < 9.95 ? Math.round(value * 10) / 10 : Math.round(value));
  return [shown, shown === "1" ? unit : `${unit}s`];
}

/** What a person typed for a time: 75, 1:15, 1:02:03.5; null if it is none. */
export function readClock(text) {
  const trimmed = text.trim();
  if (!/^(\d+:){0,2}\d+([.,]\d+)?$/.test(trimmed)) return null;
  return trimmed
    .replace(",", ".")
    .split(":")
    .reduce((sum, part) => sum * 60 + Number(part), 0);
}

const NUMBER = new Intl.NumberFormat("en");

/** A number with its thousands apart. */
export function number(value) {
  return NUMBER.format(value);
}

/** "1 video", "1,204 videos". */
export function counted(value, unit) {
  return `${number(value)} ${unit}${value === 1 ? "" : "s"}`;
}

/** Bytes with one unit of a thousand. */
export function bytes(value) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let place = 0;
  let left = value;
  while (left >= 999.5 && place < units.length - 1) {
    left /= 1000;
    place += 1;
  }
  return `${place && left < 10 ? left.toFixed(1) : number(Math.round(left))} ${units[place]}`;
}

/** "Good match" for "good match". */
export function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export const DIGITS = 4;

/** A part of a score, with a true minus sign. */
export function part(value, digits = DIGITS) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `\u2212${text}` : text;
}

/**
 * Round parts so that what is shown adds up to the rounded sum (largest remainders).
 * No part moves by a whole unit of its last digit.
 */
export function apportion(values, digits = DIGITS) {
  const scale = 10 ** digits;
  const exact = values.map((value) => value * scale);
  const floors = exact.map((value) => Math.floor(value + 1e-9));
  const total = Math.round(exact.reduce((sum, value) => sum + value, 0));
  let missing = total - floors.reduce((sum, value) => sum + value, 0);
  const order = exact.map((value, place) => [value - floors[place], place]).sort((a, b) => b[0] - a[0]);
  for (const [, place] of order) {
    if (missing <= 0) break;
    floors[place] += 1;
    missing -= 1;
  }
  return floors.map((value) => value / scale);
}

// Controls, and marks that turn the direction of what follows, have no place in a name on a page.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A text of unknown origin with its invisible characters made visible. */
export function visible(text) {
  return String(text).replace(UNSEEN, "\ufffd");
}

function parts(path) {
  return String(path).split(/[\\/]/);
}

/** The file's own name, without folders and ending. */
export function fileName(path) {
  const name = parts(path).at(-1) || String(path);
  return visible(name.replace(/(?<=.)\.[A-Za-z0-9]{1,5}$/, ""));
}

/** The file's own name with its ending. */
export function fullName(path) {
  return visible(parts(path).at(-1) || String(path));
}

/** The folder that a file lies in. */
export function folderOf(path) {
  const text = String(path);
  return visible(text.slice(0, Math.max(0, text.length - parts(path).at(-1).length - 1)));
}

/** A path as it is, made visible. */
export function fullPath(path) {
  return visible(path);
}

/** When a file was changed, from a date in ISO 8601. */
export function day(modified) {
  return new Date(modified).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}
