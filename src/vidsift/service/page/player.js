// The open video: plays from the moment, with the strip as its timeline and the account beside it.

import * as address from "./address.js";
import * as api from "./api.js";
import { collect } from "./collect.js";
import { makeControls } from "./controls.js";
import { makeCut } from "./cut.js";
import { makeDetails } from "./details.js";
import { bdi, el, icon, iconButton, say } from "./dom.js";
import { capital, clock, fileName, folderOf, fullPath, part, span, spoken } from "./format.js";
import { Lazy } from "./lazy.js";
import { keepThumbnail } from "./queryPicture.js";
import { plain } from "./results.js";
import { makeStrip } from "./strip.js";
import { makeParts } from "./parts.js";
import { makeWhy } from "./why.js";

/** So close to its end, a video has nothing more to show. */
const ENDING_SECONDS = 0.25;
const NO_WORDS = "This was found by how it looks, not by words, so there are no words to account for.";

/** Build the player; `results` tells of the hits that are shown below it. */
export function makePlayer(results) {
  const name = el("h2", { id: "player-title" });
  const where = el("p", { class: "where" });
  const verdict = el("p", { class: "verdict" });
  const stage = el("div", { class: "stage" });
  const before = iconButton("previous", "Previous result", () => beside("before"));
  const after = iconButton("next", "Next result", () => beside("after"));
  const close = iconButton("close", "Close", () => address.closeVideo());
  const timeline = el("div", { class: "timeline-place" });
  const similar = el("button", { type: "button", class: "plain" }, icon("similar"), "More like this");
  similar.addEventListener("click", () => {
    keepThumbnail(now.segment, api.thumbnail(now.video, now.start, 160));
    address.go({ ...address.unasked(address.now()), view: "search", like: now.segment });
  });

  const collecting = el("button", { type: "button", class: "plain" }, icon("collection"), "Add to a collection");
  // What is being cut is what a person means; else the moment.
  collecting.addEventListener("click", () => {
    const [start, end] = cut.stretch();
    collect([{ video_id: now.video, path: now.path, start, end }]);
  });

  let now = null;
  let strip = null;
  let whole = null;
  let settled = null;
  let stopped = new AbortController();

  const controls = makeControls({ stage, timeline, moved });
  const why = makeWhy({ show: drawStrip, seek: (seconds) => controls.seek(seconds) });
  const cut = makeCut({ time: controls.time, marked: (stretch) => strip?.mark({ cut: stretch }) });
  const details = makeDetails();
  const parts = makeParts({
    choose(place) {
      accountOfPart(place);
      controls.seek(now.hit.parts[place].start);
    },
  });
  const tools = el("div", { class: "tools" }, similar, cut.opener, collecting);
  const node = el(
    "dialog",
    { class: "player", "aria-labelledby": "player-title" },
    el(
      "div",
      { class: "player-head" },
      el("div", { class: "player-names" }, name, where),
      el("div", { class: "player-ways" }, before, after, close),
    ),
    el(
      "div",
      { class: "player-body", tabindex: -1 },
      el("div", { class: "player-left" }, stage, timeline, controls.node, why.film),
      el("div", { class: "player-right" }, verdict, tools, cut.node, parts.node, why.receipt, why.map, details.node),
    ),
  );
  node.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  // A browser may close a dialog without asking; the address then follows.
  node.addEventListener("close", () => {
    if (address.now().video) address.closeVideo();
  });
  node.addEventListener("click", (event) => {
    if (event.target === node) address.closeVideo();
  });
  node.addEventListener("keydown", keys);

  /** Show what the address says: open, move on, or close. */
  function follow(state, was) {
    if (!state.video) {
      if (node.open) shut(was);
      return;
    }
    if (now && now.video === state.video && now.segment === state.segment && node.open) return;
    open(state);
  }

  function shut(was) {
    stopped.abort();
    controls.stop();
    node.close();
    now = null;
    if (was?.segment) results.focusOn(was.segment);
  }

  async function open(state) {
    stopped.abort();
    stopped = new AbortController();
    const mine = stopped.signal;
    const entry = state.segment ? results.find(state.segment) : null;
    before.disabled = !entry?.before;
    after.disabled = !entry?.after;
    reset();
    if (!node.open) node.showModal();
    try {
      if (entry) begin(state, known(entry.hit), entry.hit);
      const full = await api.video(state.video, mine);
      why.storedRatio(full.width / full.height);
      if (!entry) {
        begin(state, full, null);
        meet();
      }
      // What stands below the account comes after it: nothing is pushed down.
      await settled;
      if (!mine.aborted) details.show(full);
    } catch (error) {
      if (api.isAbort(error)) return;
      if (entry) details.fail(error);
      else fail(error);
    }
  }

  function reset() {
    now = null;
    whole = null;
    why.storedRatio(0);
    name.replaceChildren("\u2026");
    where.replaceChildren();
    verdict.replaceChildren();
    stage.classList.remove("failed");
    details.clear();
    parts.clear();
    cut.close();
  }

  function fail(error) {
    name.replaceChildren(error.status === 404 ? "This video is not in the library any more" : error.title);
    where.replaceChildren(error.detail ?? "");
    timeline.replaceChildren();
    controls.stop();
    stage.classList.add("failed");
    why.say("");
    say(name.textContent);
  }

  function begin(state, video, hit) {
    const chosen = secondOf(state, video.duration);
    const start = chosen ?? hit?.start ?? 0;
    now = { video: state.video, path: video.path, segment: state.segment, start, duration: video.duration, hit, chosen };
    name.replaceChildren(bdi(fileName(video.path), { title: fullPath(video.path) }));
    where.replaceChildren(bdi(folderOf(video.path)));
    verdict.replaceChildren(...verdictOf(hit));
    similar.hidden = !state.segment;
    makeTimeline(video);
    controls.load({
      media: video.media_url,
      poster: api.thumbnail(state.video, start, 960),
      start,
      duration: video.duration,
      strip,
    });
    cut.about(
      state.video,
      video.duration,
      stretchOf(state, hit, start, video.duration),
    );
    settled = account(state, hit);
    say(`Playing ${fileName(video.path)} from ${spoken(start)}`);
  }

  function makeTimeline(video) {
    strip = makeStrip({ duration: video.duration, bins: 240, className: "timeline" });
    strip.node.addEventListener("pointermove", (event) => {
      const seconds = strip.secondsAt(event);
      strip.point(seconds);
      why.pointAt(inSegment(seconds) ? seconds : null);
    });
    strip.node.addEventListener("pointerleave", () => {
      strip.point(null);
      why.pointAt(null);
    });
    outline();
    timeline.replaceChildren(strip.node);
    drawStrip(null);
  }

  /** Results came in below an open video: it may be one of them. */
  function meet() {
    const entry = now && node.open ? results.find(now.segment) : null;
    if (!entry) return;
    if (now.hit?.start === undefined && now.chosen === null) controls.seek(entry.hit.start);
    now.hit = entry.hit;
    before.disabled = !entry.before;
    after.disabled = !entry.after;
    verdict.replaceChildren(...verdictOf(entry.hit));
    outline();
    drawStrip(null);
  }

  function outline() {
    const { hit, duration } = now;
    if (!hit) return;
    const partial = hit.segment_start > 0.05 || hit.segment_end < duration - 0.05;
    strip.mark({
      moment: hit.start === undefined ? null : [hit.start, hit.end],
      segment: partial ? [hit.segment_start, hit.segment_end] : null,
    });
  }

  function inSegment(seconds) {
    const hit = now?.hit;
    return !hit || (seconds >= hit.segment_start - 1e-3 && seconds <= hit.segment_end + 1e-3);
  }

  function drawStrip(curve) {
    if (!strip || !now) return;
    const { hit } = now;
    const [start, end] = hit ? [hit.segment_start, hit.segment_end] : [0, now.duration];
    if (curve) strip.show({ ...curve, start: curve.start ?? start, end: curve.end ?? end });
    else if (whole?.times.length) strip.show({ times: whole.times, values: whole.shares });
    else strip.show({ times: hit?.strip?.times ?? [], values: hit?.strip?.shares ?? [], start, end });
  }

  /** Fetch why this segment was found, and the scores along the rest of the video. */
  async function account(state, hit) {
    if (!state.queries.length) {
      if (address.asks(state)) why.say(NO_WORDS);
      else why.receipt.replaceChildren();
      why.map.hidden = true;
      why.film.replaceChildren();
      return;
    }
    const lazy = results.lazy() ?? new Lazy(plain(state.queries), state.verbatim);
    const mine = now;
    const stillHere = () => mine === now;
    why.say("Counting what each word gave \u2026");
    lazy.strip(state.video, true).then(
      (answer) => {
        if (!stillHere()) return;
        whole = answer;
        mine.hit ??= hitFrom(answer, state.segment, now.duration);
        outline();
        drawStrip(null);
      },
      () => {},
    );
    if (state.queries.length > 1 && hit?.parts.length) {
      parts.show(state.queries, hit.parts);
      return accountOfPart(0);
    }
    if (!state.segment || state.queries.length > 1) {
      why.say("Open a result to see what each word gave.");
      return;
    }
    await accountOf(lazy, state.segment);
  }

  /** Account for one of several sentences, at its own place in the video. */
  function accountOfPart(place) {
    const part = now.hit.parts[place];
    strip.mark({ moment: [part.start, part.end] });
    const { queries, verbatim } = address.now();
    return accountOf(new Lazy(queries[place], verbatim), part.segment_id);
  }

  async function accountOf(lazy, segmentId) {
    const mine = now;
    // That of several sentences is of no one of them.
    const confidence = mine.hit?.parts?.length ? null : (mine.hit?.confidence ?? null);
    try {
      const explanation = await lazy.explanation(segmentId, true);
      if (mine !== now) return;
      why.load(explanation, mine.video, confidence);
      if (explanation.maps_on_request) mapsOf(lazy, segmentId, mine);
    } catch (error) {
      if (!api.isAbort(error) && mine === now) why.say(error.detail || error.title, confidence);
    }
  }

  /** The account with its maps takes the model a second look: it comes after the numbers. */
  async function mapsOf(lazy, segmentId, mine) {
    try {
      const explanation = await lazy.maps(segmentId);
      if (mine === now) why.addMaps(explanation, mine.video);
    } catch (error) {
      if (!api.isAbort(error) && mine === now) why.missMaps(error.detail || error.title);
    }
  }

  function moved(seconds, settled) {
    why.playingAt(seconds);
    strip?.at(seconds);
    if (settled && now && node.open && address.now().video === now.video)
      address.note({ ...address.now(), at: seconds.toFixed(2) });
  }

  function leave() {
    if (!why.release()) address.closeVideo();
  }

  function beside(side) {
    const hit = results.find(now?.segment ?? "")?.[side];
    if (!hit) return;
    address.go(
      { ...address.now(), video: hit.video_id, segment: hit.segment_id, at: hit.start.toFixed(2) },
      { replace: true, inside: Boolean(history.state?.inside) },
    );
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input:not([type=range]), textarea, select");
    if (typing) return;
    const pressed = event.target.closest("button, a, summary") !== null;
    const acts = {
      escape: leave,
      n: () => beside("after"),
      p: () => beside("before"),
      i: () => cut.take("start"),
      o: () => cut.take("end"),
    };
    const act = acts[event.key.toLowerCase()];
    if (act) act();
    else if (!controls.key(event, pressed)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  return { node, follow, meet };
}

/** The second of the address; null where it names none from which there is something left to see. */
function secondOf(state, duration) {
  const at = Number.parseFloat(state.at);
  return at < duration - ENDING_SECONDS ? at : null;
}

/** What is first offered to be cut: the moment that was opened, else what comes next. */
function stretchOf(state, hit, start, duration) {
  if (hit) return [hit.start, hit.end];
  const until = Number.parseFloat(state.until);
  return [start, Math.min(duration, until > start ? until : start + 10)];
}

function known(hit) {
  return { path: hit.path, duration: hit.duration, media_url: hit.media_url };
}

/** What a link without results still knows of its segment. */
function hitFrom(answer, segmentId, duration) {
  const match = answer.segments?.find((segment) => segment.segment_id === segmentId);
  if (!match) return null;
  return { segment_start: match.start, segment_end: match.end, duration };
}

function verdictOf(hit) {
  if (!hit) return [];
  const words = [
    el("span", { class: "verdict-when" }, span(hit.start, hit.end)),
    el("span", {}, ` of ${clock(hit.duration)}`),
  ];
  words.push(el("span", { class: "verdict-sure" }, hit.match ? capital(hit.match) : `score ${part(hit.score)}`));
  if (hit.candidates) words.push(el("span", { class: "note" }, `best of ${hit.candidates} candidates`));
  return words;
}
