// Why this moment: the sentence with a bar a word, the frames that were looked at, and all the numbers.

import {
  bestTime,
  comparedGroup,
  frameOverWords,
  framesOverTime,
  hasTimes,
  mapTerm,
  nearest,
  onPicture,
  readAccount,
  strongestTime,
  wordOverTime,
} from "./account.js";
import { thumbnail } from "./api.js";
import { bdi, el, onPointing } from "./dom.js";
import { fineClock, visible } from "./format.js";
import { makeMap, makeOverlay } from "./map.js";
import { warmth } from "./strip.js";
import { allNumbers } from "./numbers.js";
import { makeSentence } from "./sentence.js";

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
  let video = "";
  let pointed = null;
  let over = null;
  let words = [];
  let frames = [];
  let held = null;
  let playing = null;
  let best = null;

  function say(text, confidence = null) {
    account = null;
    words = [];
    frames = [];
    const numbers = confidence === null ? "" : allNumbers(null, confidence);
    receipt.replaceChildren(title(), el("p", { class: "note" }, text), numbers);
    film.replaceChildren();
    map.load(null, "");
  }

  function load(explanation, videoId, confidence = null) {
    account = readAccount(explanation);
    video = videoId;
    held = pointed = over = null;
    const mapped = map.load(account, videoId);
    drawReceipt(confidence, mapped);
    drawFilm();
    for (const word of words) if (mapped) word.button.setAttribute("aria-describedby", "map-said");
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

  function drawReceipt(confidence, mapped) {
    const sentences = account.groups
      .map((group, at) => ({ group, at }))
      .filter(({ group }) => group.kind !== "compared" && (group.kind !== "parts" || group.words.length > 1))
      .map(({ group, at }) => makeSentence(group, { named: account.parts > 1, onWord: (place) => wordEvents(at, place) }));
    words = sentences.flatMap((sentence) => sentence.words);
    // A map has a large frame of its own.
    best = mapped || !account.times.length ? null : bestFrame();
    receipt.replaceChildren(
      title(),
      ...sentences.map((sentence) => sentence.node),
      words.length ? el("p", { class: "note" }, meaning()) : "",
      best ? best.node : "",
      allNumbers(account, confidence),
    );
  }

  /** What the bars are, in plain words. */
  function meaning() {
    const less = words.some((word) => word.gave < 0) ? " A hollow bar: it speaks against it." : "";
    return account.byFalls
      ? `The taller the bar, the weaker the match without the word.${less}`
      : `The taller the bar, the more the word added to the match.${less}`;
  }

  function wordEvents(group, place) {
    const target = { group, place };
    return {
      target,
      enter: () => point(target),
      leave: () => point(held),
      click: () => {
        hold(same(held, target) ? null : target);
        const time = held ? bestTime(account, account.groups[group], place) : null;
        if (time !== null) seek(time);
      },
    };
  }

  function hold(target) {
    held = target;
    for (const word of words) word.button.setAttribute("aria-pressed", String(same(word.target, held)));
    point(held);
  }

  /** The frame in which the pointed word is seen best; without a word the one that gave most. */
  function bestFrame() {
    const image = el("img", { alt: "", width: 320, height: 180, decoding: "async" });
    const said = el("span", {}, "");
    const button = el("button", { type: "button", class: "best-frame" }, image, said);
    let time = null;
    button.addEventListener("click", () => time !== null && seek(time));
    return {
      node: button,
      show(target) {
        const group = target ? account.groups[target.group] : null;
        time = group ? bestTime(account, group, target.place) : strongestTime(account);
        const quoted = group ? ["\u201c", bdi(visible(group.words[target.place].text)), "\u201d"] : [];
        button.classList.toggle("none", time === null);
        if (time === null) {
          said.replaceChildren(...quoted, hasTimes(group) ? " is needed in no frame" : " has no frame of its own");
          return;
        }
        const source = thumbnail(video, time, 320);
        if (image.getAttribute("src") !== source) image.setAttribute("src", source);
        const verb = group?.kind === "falls" ? " counts most at " : " fits best at ";
        said.replaceChildren(...(group ? [...quoted, verb] : ["Fits best at "]), fineClock(time));
      },
    };
  }

  function drawFilm() {
    frames = account.times.map((time) => makeFrame(time));
    film.heading = el("h3", { class: "film-title" });
    film.replaceChildren(
      ...(account.times.length
        ? [film.heading, el("ol", { class: "frames" }, ...frames.map((frame) => frame.node))]
        : [el("p", { class: "note" }, "What this model compared has no time of its own.")]),
    );
  }

  function makeFrame(time) {
    const image = el("img", {
      src: thumbnail(video, time, 160),
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
    );
    onPointing(
      button,
      () => pointFrame(time),
      () => pointFrame(null),
    );
    button.addEventListener("click", () => seek(time));
    return { time, button, overlay, node: el("li", { data: { time } }, button) };
  }

  /** Show where a word matched; null shows what each frame gave. */
  function point(target) {
    if (!account) return;
    over = target;
    const group = target ? account.groups[target.group] : null;
    const timed = group !== null && hasTimes(group);
    const seen = timed ? wordOverTime(account, group, target.place) : framesOverTime(account);
    const compared = group && comparedGroup(account, group);
    const placed = mapTerm(compared) !== null;
    const warm = warmth(seen.values);
    frames.forEach((frame, place) => {
      frame.button.style.setProperty("--warm", warm[place].toFixed(3));
      const most = warm[place] === 1 ? ", fits best" : "";
      frame.button.setAttribute("aria-label", `${fineClock(frame.time)}${most}. Play from here`);
      frame.node.dataset.value = seen.values[place] ?? "";
      frame.overlay.show(placed ? onPicture(compared, target.place, frame.time) : null);
    });
    map.show(target, pointed);
    best?.show(target);
    if (film.heading) film.heading.replaceChildren(...heading(group, target, timed));
    for (const word of words) word.button.classList.toggle("pointed", same(word.target, target));
    show(timed ? { ...seen, start: account.start, end: account.end, kind: "word" } : null);
  }

  function heading(group, target, timed) {
    if (!target) return ["Which frames fit"];
    const word = ["\u201c", bdi(visible(group.words[target.place].text)), "\u201d"];
    if (!timed) return [...word, " has no time: it is told for the whole moment"];
    return group.kind === "falls" ? ["Which frames need ", ...word] : ["Which frames look like ", ...word];
  }

  /** Show which words a frame matched; null forgets the frame. */
  function pointFrame(time) {
    if (!account) return;
    pointed = time;
    map.show(over, time);
    for (const frame of frames) frame.node.classList.toggle("pointed", frame.time === time);
    const seen = account.groups.map((group) => (time === null ? null : frameOverWords(group, time)));
    for (const word of words) {
      const frame = seen[word.target.group];
      word.button.classList.toggle("best", Boolean(frame) && frame.best === word.target.place);
      const warm = frame ? warmth(frame.values)[word.target.place] : 0;
      word.button.style.setProperty("--warm", warm.toFixed(3));
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
      for (const frame of frames) frame.node.classList.toggle("playing", frame.time === time);
    },
    release() {
      const was = held !== null;
      if (was) hold(null);
      return was;
    },
  };
}

function same(a, b) {
  return Boolean(a && b) && a.group === b.group && a.place === b.place;
}
