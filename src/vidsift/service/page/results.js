// The search view: asks, and shows what came back.

import * as address from "./address.js";
import * as api from "./api.js";
import { makeCard, wordsAt } from "./card.js";
import { el, say } from "./dom.js";
import { makeExport } from "./export.js";
import { filterCount, filterOf, unfiltered } from "./filters.js";
import { counted, number } from "./format.js";
import { makeFold } from "./fold.js";
import { Lazy } from "./lazy.js";
import { likelyOf, sorted } from "./order.js";
import { makeSelection } from "./selection.js";
import {
  action,
  cancelled,
  noAnswerYet,
  noHits,
  noneSure,
  nothingFits,
  nothingStandsOut,
  searched,
  searchedFor,
  trouble,
} from "./states.js";
import { makeWords } from "./words.js";

const AT_ONCE = 24;
/** What is put in another order than the best first: more of it, since what is left out is not the last of it. */
const SORTED_AT_ONCE = 96;
const MOMENTS_AT_ONCE = 100;
/** After so long without an answer the page shows where it will be, offers to cancel, and says that it takes long. */
const PATIENCE_MS = 120;
const CANCEL_MS = 2000;
const LONG_MS = 10_000;
/** So many answers a question pages through. */
const MOST = 1000;

/** The search view's part below the filters; `home()` fills it while nothing is asked. */
export function makeResults({ home, shown: tellShown = () => {}, answered = () => {}, tagged = () => {} }) {
  const words = makeWords({ point: askWord });
  const summary = el("p", { class: "summary" });
  const band = el("div", { class: "band" }, words.node);
  const phrasing = el("p", { class: "phrasing" });
  const above = el("div", { class: "above" });
  let list = el("ol", { class: "cards" });
  const below = el("div", { class: "below" });
  const fold = makeFold();
  const title = () => address.now().queries.join(" / ");
  const exporter = makeExport({ hits: () => cards.map((card) => card.hit), title, label: "Export" });
  const selection = makeSelection({ title, tagged });
  const node = el("div", { class: "results" }, band, phrasing, above, list, fold.node, below, exporter.node, selection.node);

  let running = null;
  let lazy = null;
  let cards = [];
  let visible = null;
  // Whether anything fits, of which a page that shows nothing of it says nothing.
  let fits = null;

  function askWord(word) {
    for (const card of cards) card.ask(word);
  }

  function pointFrame(seconds, account) {
    words.heat(seconds === null || !account ? null : wordsAt(account, seconds));
  }

  /** Show what a state asks for. */
  async function run(state) {
    running?.abort();
    lazy?.stop();
    const mine = new AbortController();
    running = mine;
    if (!address.asks(state)) {
      clear();
      band.classList.add("empty");
      const start = await home(mine.signal);
      if (running === mine) above.replaceChildren(start);
      return;
    }
    band.classList.remove("empty");
    const stop = () => {
      mine.abort();
      clear();
      above.replaceChildren(cancelled(() => run(state)));
      // The button that was pressed is gone.
      above.querySelector("button").focus();
    };
    const timers = [
      [PATIENCE_MS, wait],
      [CANCEL_MS, () => summary.append(" ", action("Cancel", stop, { class: "text" }))],
      [LONG_MS, () => above.replaceChildren(noAnswerYet(LONG_MS / 1000, stop))],
    ].map(([after, act]) => window.setTimeout(act, after));
    // Built once: the pages that follow have to ask exactly the same, also where "past week" is a moving date.
    const body = bodyOf(state);
    try {
      const answer = await api.search(body, mine.signal);
      lazy = state.queries.length ? new Lazy(plain(state.queries), state.verbatim) : null;
      show(state, body, answer);
    } catch (error) {
      if (api.isAbort(error)) return;
      clear();
      above.replaceChildren(trouble(error, () => run(state)));
      summary.textContent = "";
    } finally {
      timers.forEach((timer) => window.clearTimeout(timer));
      if (running === mine) node.classList.remove("waiting");
    }
  }

  /** After a moment without an answer: dim what is there, or show where results will be. */
  function wait() {
    node.classList.add("waiting");
    summary.textContent = "Searching \u2026";
    say("Searching");
    if (cards.length) return;
    for (const part of [above, below]) part.replaceChildren();
    fold.clear();
    list.replaceChildren(...Array.from({ length: 8 }, skeleton));
  }

  function clear() {
    visible?.disconnect();
    cards = [];
    words.expect(null);
    for (const part of [phrasing, above, below]) part.replaceChildren();
    fold.clear();
    exporter.show(false);
    selection.clear();
    const empty = el("ol", { class: "cards" });
    list.replaceWith(empty);
    list = empty;
    summary.textContent = "";
  }

  function show(state, body, answer) {
    clear();
    answered(answer);
    const sentences = searched(state, answer);
    phrasing.replaceChildren(...searchedFor(state, answer));
    if (!answer.data.length) {
      const nothing = filterCount(state) > 0 && answer.pool?.allowed_segments === 0;
      const limited = !nothing && (state.sure || state.least);
      above.replaceChildren(
        limited
          ? noneSure(state.sure === "good", () => address.go({ ...address.now(), sure: "", least: "" }))
          : noHits(state, nothing, () => address.go(unfiltered(address.now()))),
      );
      say("No results");
      return;
    }
    words.expect(sentences.length === 1 ? sentences[0] : null);
    append(state, body, answer);
    head(state, answer);
    tell(state, answer);
    // Nobody sees a card below the fold, and the words of the question are wanted all the same.
    if (!list.childElementCount) learn(cards[0]);
    window.scrollTo({ top: 0 });
    tellShown();
  }

  function append(state, body, answer) {
    visible ??= new IntersectionObserver(seen, { rootMargin: "200px" });
    const context = { lazy, point: pointFrame, similar, moments: (hit) => momentsOf(hit, body), boxOf: selection.boxOf };
    const made = answer.data.map((hit) => makeCard(hit, state, context));
    cards.push(...made);
    fits = answer.found;
    place(state.sort);
    made.forEach((card) => visible.observe(card.node));
    const after = fold.holds() ? fold.below : below;
    below.replaceChildren();
    after.replaceChildren(
      answer.next_page
        ? action("More results", (event) => more(state, body, answer.next_page, event.currentTarget))
        : cards.length >= MOST
          ? el(
              "p",
              { class: "note" },
              `These are the best ${number(cards.length)}. Ask more closely to find others.`,
            )
          : "",
    );
    exporter.show(true);
    return made;
  }

  /** Lay the cards out: those that are likely, and below the fold what comes after the last of them. */
  function place(order) {
    const ranked = cards.toSorted((a, b) => a.hit.rank - b.hit.rank);
    const likely = likelyOf(ranked.map((card) => card.hit), fits);
    const parts = [ranked.slice(0, likely), ranked.slice(likely)].map((part) => sorted(part, order));
    cards = parts.flat();
    [list, fold.list].forEach((target, part) => {
      parts[part].forEach(({ node: card }, at) => {
        // A card that is where it belongs keeps the focus.
        if (target.children[at] !== card) target.insertBefore(card, target.children[at] ?? null);
      });
    });
    fold.count();
  }

  /** Ask the same within a hit's video alone, for every moment of it. */
  function momentsOf(hit, body) {
    const filter = { ...body.filter, under: hit.path };
    const wanted = { ...body, filter, group_by: "segment", k: MOMENTS_AT_ONCE };
    return api.search(wanted, running.signal);
  }

  /** Above the cards, what they are all like where none of them is good. */
  function head(state, answer) {
    const matches = cards.map((card) => card.hit.match);
    if (answer.found === false) above.replaceChildren(nothingFits({ ...state, queries: searched(state, answer) }));
    else if (matches.includes("possible match") && !matches.includes("good match"))
      above.replaceChildren(nothingStandsOut());
    else above.replaceChildren();
  }

  async function more(state, body, page, button) {
    button.disabled = true;
    try {
      const answer = await api.search({ ...body, page }, running.signal);
      const [first] = append(state, body, answer);
      // The library may have grown since the first page.
      head(state, answer);
      first?.open.focus({ preventScroll: true });
      say(`${counted(answer.data.length, "more result")}`);
    } catch (error) {
      if (!api.isAbort(error)) button.parentNode.replaceChildren(trouble(error, () => more(state, body, page, button)));
    }
  }

  function seen(entries) {
    for (const entry of entries.filter((change) => change.isIntersecting)) {
      visible.unobserve(entry.target);
      learn(cards.find((shown) => shown.node === entry.target));
    }
  }

  function learn(card) {
    const current = lazy;
    card?.learn().then((account) => {
      // The first account brings the words; those of the others are the same.
      if (account && current === lazy && !words.ready()) words.show(account);
    });
  }

  function tell(state, answer) {
    const { pool } = answer;
    const narrowed = pool.allowed_videos < pool.videos;
    const where = ` in ${narrowed ? `${number(pool.allowed_videos)} of ` : ""}${counted(pool.videos, "video")}`;
    const { candidates } = answer.data[0];
    const among = candidates ? `, ranked among the ${number(candidates)} likeliest` : "";
    const what = whatIs(state, answer, cards.map((card) => card.hit));
    const order = { date: ", newest first", name: ", by name" }[state.sort] ?? "";
    summary.textContent = `${what}${where}${among}${order}`;
    // For those who want to know; the page's own words are about what was found.
    const seconds = Math.max(0.01, answer.took_ms / 1000).toFixed(2);
    summary.title = `${counted(pool.allowed_segments, "part")} of videos compared in ${seconds} seconds`;
    const folded = fold.holds();
    const heard = answer.searched_for ? `Searched for ${searched(state, answer).join(", then ")}` : "";
    say([heard, what, folded ? `${number(folded)} less likely, folded below` : ""].filter(Boolean).join(". "));
  }

  function similar(hit) {
    address.go({ ...address.unasked(address.now()), like: hit.segment_id });
  }

  /** Move with the arrow keys among the cards, and over the fold between what is likely and what is not. */
  function walk(key) {
    if (!cards.length) return false;
    // Cards below a closed fold are not there to walk to.
    const open = cards.filter((card) => card.node.checkVisibility());
    const listed = list.childElementCount;
    const at = open.findIndex((card) => card.node.contains(document.activeElement));
    const columns = getComputedStyle((open[0] ?? cards[0]).node.parentNode).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    if (document.activeElement === fold.summary) {
      const beside = step > 0 ? open[listed] : open[listed - 1];
      beside?.open.focus();
      return beside !== undefined || step > 0;
    }
    if (at < 0) {
      if (key !== "ArrowDown") return false;
      (open[0]?.open ?? fold.summary).focus();
      return true;
    }
    const next = at + step;
    if (fold.holds() && at < listed !== next < listed) {
      fold.summary.focus();
      return true;
    }
    if (next < 0) return false;
    open[Math.min(next, open.length - 1)].open.focus();
    return true;
  }

  return {
    node,
    summary,
    run,
    walk,
    release: words.release,
    /** Select the card that has the focus, or not any more; false where none has it. */
    select() {
      const card = cards.find((shown) => shown.node.contains(document.activeElement));
      card?.select();
      return card !== undefined;
    },
    holds: () =>
      document.activeElement === fold.summary || cards.some((card) => card.node.contains(document.activeElement)),
    /** The hit of a segment, those beside it, and the answers about it, if it is among what is shown. */
    find(segmentId) {
      const hits = cards.flatMap((card) => [card.hit, ...card.moments()]);
      const at = hits.findIndex((hit) => hit.segment_id === segmentId);
      if (at < 0) return null;
      return { hit: hits[at], before: hits[at - 1] ?? null, after: hits[at + 1] ?? null };
    },
    focusOn(segmentId) {
      const link = cards.map((card) => card.linkOf(segmentId)).find(Boolean);
      if (!link) return;
      if (!link.checkVisibility()) fold.open();
      link.focus();
    },
    lazy: () => lazy,
  };
}

/** What was found, in the words of the cards. */
function whatIs(state, answer, hits) {
  if (answer.found === false) return "Nothing fits well";
  for (const word of ["good match", "possible match"]) {
    const count = hits.filter((hit) => hit.match === word).length;
    if (count) return `${number(count)} ${word}${count === 1 ? "" : "es"}`;
  }
  const best = answer.label === "similar footage" ? "Similar footage: the best" : "The best";
  return `${best} ${counted(hits.length, state.by === "video" ? "video" : "moment")}`;
}

/** One sentence as it is, several as a list. */
export function plain(queries) {
  return queries.length === 1 ? queries[0] : queries;
}

function bodyOf(state) {
  const body = { k: state.sort ? SORTED_AT_ONCE : AT_ONCE, group_by: state.by, filter: filterOf(state) };
  if (state.least) body.min_score = Number(state.least);
  if (state.sure === "good") body.min_match = "good match";
  else if (state.sure) body.min_confidence = Number(state.sure);
  if (state.like) body.video = state.like;
  else if (state.upload) body[state.kind] = state.upload;
  else {
    body.query = plain(state.queries);
    body.verbatim = Boolean(state.verbatim);
  }
  return body;
}

function skeleton() {
  return el(
    "li",
    { class: "card skeleton", "aria-hidden": "true" },
    el("span", { class: "open" }, el("span", { class: "frame" }), el("span", { class: "title" })),
    el("div", { class: "strip" }),
    el("div", { class: "facts" }),
  );
}

/** The question as the title of the window. */
export function titleOf(state) {
  if (state.view === "library") return "Library \u2013 vidsift";
  if (state.view === "saved") return "Saved \u2013 vidsift";
  if (state.queries.length) return `${state.queries.join(" \u203a ")} \u2013 vidsift`;
  return address.asks(state) ? "Similar footage \u2013 vidsift" : "vidsift";
}
