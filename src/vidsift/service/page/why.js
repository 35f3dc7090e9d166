// Why this moment: a receipt of what each word gave, the frames that were looked at, and all the numbers.

import {
  bestTime,
  frameOverWords,
  framesOverTime,
  mapTerm,
  nearest,
  onPicture,
  readAccount,
  wordOverTime,
} from "./account.js";
import { thumbnail } from "./api.js";
import { bdi, el } from "./dom.js";
import { apportion, fineClock, part, visible } from "./format.js";
import { makeMap, makeOverlay } from "./map.js";
import { warmth } from "./strip.js";
import { allNumbers } from "./numbers.js";

/**
 * The panel, the film strip and the map of an explanation.
 *
 * @param show `show(curve or null)` draws {times, values, kind} on the timeline; null the score again.
 * @param seek `seek(seconds)` plays from there.
 */
export function makeWhy({ show, seek }) {
  const receipt = el("section", { class: "receipt", "aria-labelledby": "why-title" });
  const film = el("section", { class: "film", "aria-label": "Frames that were looked at" });
  const title = () => el("h3", { id: "why-title" }, "Why this moment");
  let stored = 0;
  const map = makeMap(() => stored);
  let account = null;
  let sure = null;
  let pointed = null;
  let over = null;
  let rows = [];
  let frames = [];
  let held = null;
  let playing = null;

  function say(words, confidence = null) {
    account = null;
    rows = [];
    frames = [];
    const numbers = confidence === null ? "" : allNumbers(null, confidence);
    receipt.replaceChildren(title(), el("p", { class: "note" }, words), numbers);
    film.replaceChildren();
    map.load(null, "");
  }

  function load(explanation, videoId, confidence = null) {
    account = readAccount(explanation);
    sure = confidence;
    held = pointed = over = null;
    const mapped = map.load(account, videoId);
    drawReceipt();
    drawFilm(videoId);
    for (const row of rows) if (mapped) row.chip.setAttribute("aria-describedby", "map-said");
    point(null);
  }

  /** The same account once more, now with a map; what is pointed at and held stays. */
  function addMaps(explanation, videoId) {
    if (!account) return;
    if (explanation.maps_missing) {
      map.miss(visible(explanation.maps_missing));
      return;
    }
    account = readAccount(explanation);
    map.load(account, videoId);
    point(over);
  }

  function drawReceipt() {
    const all = account.groups.flatMap((group, at) => group.words.map((word) => ({ group, at, word })));
    const shown = apportion(all.map(({ word }) => word.contribution));
    const most = Math.max(...all.map(({ word }) => Math.abs(word.contribution)), 1e-9);
    rows = all.map(({ group, at, word }, place) =>
      makeRow(group, at, word, shown[place], Math.abs(word.contribution) / most),
    );
    const total = shown.reduce((sum, value) => sum + value, 0);
    const frameHead = el("th", { scope: "col", class: "in-frame" }, unpointed());
    receipt.replaceChildren(
      title(),
      el(
        "table",
        { class: "sum" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "Word"),
            frameHead,
            el("th", { scope: "col" }, "Part of score"),
          ),
        ),
        el("tbody", {}, ...rows.flatMap((row) => [partHead(row), row.node])),
        el(
          "tfoot",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "row" }, "Together"),
            el("td", {}, ""),
            el("td", { class: "total" }, part(total)),
          ),
        ),
      ),
      el(
        "p",
        { class: "note" },
        "Score ",
        el("output", { class: "score" }, part(account.score)),
        untimedNote(),
      ),
      gathered(all.map(({ word }) => word))
        ? el(
            "p",
            { class: "note" },
            "Most of it met the mark at the end: models like this one gather the whole sentence there.",
          )
        : "",
      ...account.notes.map((note) => el("p", { class: "note" }, visible(note))),
      allNumbers(account, sure),
    );
    receipt.frameHead = frameHead;
  }

  /** In a sum of sentences, what each part is, above its words. */
  function partHead({ target }) {
    const group = account.groups[target.group];
    const before = account.groups[target.group - 1];
    const same = before && before.sentence === group.sentence && before.taken === group.taken;
    if (account.parts < 2 || target.place > 0 || same) return "";
    const sign = group.taken ? "\u2212 " : "+ ";
    return el(
      "tr",
      {},
      el("th", { scope: "rowgroup", colspan: 3, class: "part" }, sign, bdi(visible(group.sentence))),
    );
  }

  function untimedNote() {
    return account.groups.some((group) => group.terms.some((term) => !term.timed))
      ? `. Of it ${part(account.untimed)} came from parts that have no time of their own.`
      : ". It is the sum, to the last digit.";
  }

  function makeRow(group, at, word, gave, share) {
    const bar = el("span", { class: "gave-bar", "aria-hidden": "true" });
    bar.style.setProperty("width", `${(share * 100).toFixed(1)}%`);
    const here = el("td", { class: "in-frame" });
    const target = { group: at, place: word.place };
    const chip = el(
      "button",
      {
        type: "button",
        class: word.special ? "chip special" : "chip",
        "aria-pressed": "false",
        title: word.special ? "A mark that the model puts around every sentence" : "Where this word matched",
      },
      bdi(visible(word.text)),
    );
    chip.addEventListener("pointerenter", () => point(target));
    chip.addEventListener("pointerleave", () => point(held));
    chip.addEventListener("focus", () => point(target));
    chip.addEventListener("blur", () => point(held));
    chip.addEventListener("click", () => {
      hold(held && held.group === at && held.place === word.place ? null : target);
      const best = held ? bestTime(group, word.place) : null;
      if (best !== null) seek(best);
    });
    const node = el(
      "tr",
      { data: { group: at, place: word.place } },
      el("th", { scope: "row" }, chip),
      here,
      el("td", { class: "gave", data: { value: word.contribution } }, bar, el("span", {}, part(gave))),
    );
    return { node, chip, here, target };
  }

  function hold(target) {
    held = target;
    for (const row of rows) row.chip.setAttribute("aria-pressed", String(same(row.target, held)));
    point(held);
  }

  function drawFilm(videoId) {
    frames = account.times.map((time) => makeFrame(videoId, time));
    const words = account.times.length
      ? [
          el("h3", { class: "film-title" }, filmTitle()),
          el("ol", { class: "frames" }, ...frames.map((frame) => frame.node)),
        ]
      : [el("p", { class: "note" }, "What this model compared has no time of its own.")];
    film.replaceChildren(...words);
  }

  function filmTitle() {
    film.heading = el("span", {}, "");
    return film.heading;
  }

  function makeFrame(videoId, time) {
    const value = el("span", { class: "frame-value" });
    const image = el("img", {
      src: thumbnail(videoId, time, 160),
      alt: "",
      width: 96,
      height: 54,
      loading: "lazy",
      decoding: "async",
    });
    const overlay = makeOverlay(image, () => stored);
    const button = el(
      "button",
      { type: "button", class: "frame-button" },
      el("span", { class: "frame-picture" }, image, overlay.node),
      el("span", { class: "frame-time" }, fineClock(time)),
      value,
    );
    button.addEventListener("pointerenter", () => pointFrame(time));
    button.addEventListener("pointerleave", () => pointFrame(null));
    button.addEventListener("focus", () => pointFrame(time));
    button.addEventListener("blur", () => pointFrame(null));
    button.addEventListener("click", () => seek(time));
    return { time, button, value, overlay, node: el("li", { data: { time } }, button) };
  }

  /** Show where a word matched; null shows what each frame gave. */
  function point(target) {
    if (!account) return;
    over = target;
    const group = target ? account.groups[target.group] : null;
    const placed = mapTerm(group) !== null;
    const timed = Boolean(group?.timed);
    const seen = timed ? wordOverTime(account, group, target.place) : framesOverTime(account);
    const shown = timed ? seen.values : apportion([...seen.values, account.untimed]);
    const warm = warmth(seen.values);
    frames.forEach((frame, place) => {
      const text = shown[place] === null ? "\u2013" : part(shown[place], timed ? 2 : undefined);
      frame.value.textContent = text;
      frame.button.style.setProperty("--warm", warm[place].toFixed(3));
      frame.button.setAttribute("aria-label", `${fineClock(frame.time)}: ${text}. Play from here`);
      frame.node.dataset.value = seen.values[place] ?? "";
      frame.overlay.show(placed ? onPicture(group, target.place, frame.time) : null);
    });
    map.show(target, pointed);
    if (film.heading) film.heading.replaceChildren(...heading(group, target, timed));
    rows.forEach((row) => row.node.classList.toggle("pointed", same(row.target, target)));
    show(timed ? { ...seen, start: account.start, end: account.end, kind: "word" } : null);
  }

  function heading(group, target, timed) {
    if (!target) return ["What each frame gave"];
    const word = bdi(visible(group.words[target.place].text));
    return timed
      ? ["How much each frame looks like \u201c", word, "\u201d"]
      : ["\u201c", word, "\u201d was compared with parts that have no time"];
  }

  /** Show which words a frame matched; null forgets the frame. */
  function pointFrame(time) {
    if (!account) return;
    pointed = time;
    map.show(over, time);
    if (receipt.frameHead)
      receipt.frameHead.replaceChildren(time === null ? unpointed() : `at ${fineClock(time)}`);
    frames.forEach((frame) => frame.node.classList.toggle("pointed", frame.time === time));
    const seen = account.groups.map((group) => (time === null ? null : frameOverWords(group, time)));
    for (const row of rows) {
      const frame = seen[row.target.group];
      const value = frame ? frame.values[row.target.place] : null;
      row.here.textContent = value === null ? "" : part(value, 2);
      row.node.classList.toggle("best", Boolean(frame) && frame.best === row.target.place);
      row.chip.style.setProperty("--warm", frame ? warmth(frame.values)[row.target.place].toFixed(3) : "0");
    }
  }

  return {
    receipt,
    film,
    map: map.node,
    say,
    load,
    addMaps,
    /** Take width over height of the video's stored pixels, which a player may stretch. */
    storedRatio(ratio) {
      stored = ratio;
      for (const frame of frames) frame.overlay.lay();
      map.lay();
    },
    missMaps: (reason) => map.miss(visible(reason)),
    /** A second on the timeline is pointed at. */
    pointAt(seconds) {
      if (!account?.times.length) return;
      pointFrame(seconds === null ? null : nearest(account.times, seconds));
    },
    /** The picture has come to a second: mark the frame that stands for it. */
    playingAt(seconds) {
      const time = account?.times.length && seconds !== null ? nearest(account.times, seconds) : null;
      if (time === playing) return;
      playing = time;
      frames.forEach((frame) => frame.node.classList.toggle("playing", frame.time === time));
    },
    release() {
      const was = held !== null;
      if (was) hold(null);
      return was;
    },
  };
}

/** Whether the mark at the end of the sentence gave most of the score. */
function gathered(words) {
  const sum = (some) => some.reduce((total, word) => total + word.contribution, 0);
  return sum(words.filter((word) => word.special && word.text === "end")) > 0.5 * sum(words);
}

/** Every column has a name, also while no frame is pointed at. */
function unpointed() {
  return el("span", { class: "hidden" }, "In the frame that is pointed at");
}

function same(a, b) {
  return Boolean(a && b) && a.group === b.group && a.place === b.place;
}
