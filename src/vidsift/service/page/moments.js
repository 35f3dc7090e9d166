// The other moments of a video, under its card: asked for when somebody opens the list.

import * as address from "./address.js";
import { el, plainClick, say } from "./dom.js";
import { counted, fileName, number, span, spoken } from "./format.js";
import { likelyOf } from "./order.js";
import { action } from "./states.js";
import { sureness } from "./sureness.js";

/**
 * Build the list under a hit's card; `ask(hit)` answers as a search does, with all moments of the hit's video.
 */
export function makeMoments(hit, state, ask) {
  const list = el("ol", { class: "moment-list" });
  const note = el("p", { class: "note", role: "status" });
  const summary = el("summary", { "aria-label": `More moments in ${fileName(hit.path)}` }, "More moments");
  const node = el("details", { class: "moments" }, summary, list, note);
  let hits = [];
  const links = new Map();
  node.addEventListener("toggle", () => node.open && load(), { once: true });

  async function load() {
    note.textContent = "Searching \u2026";
    try {
      const answer = await ask(hit);
      show(answer);
    } catch (error) {
      note.textContent = error.detail || error.title || "";
      // Another try is another opening.
      node.addEventListener("toggle", () => node.open && load(), { once: true });
    }
  }

  function show(answer) {
    const others = answer.data.filter((other) => other.segment_id !== hit.segment_id);
    const likely = others.slice(0, likelyOf(others, answer.found));
    const rest = others.slice(likely.length);
    add(likely);
    note.textContent = likely.length ? "" : "No other moment of it fits well.";
    if (answer.next_page) note.textContent = `These are its best ${number(others.length)}.`;
    say(counted(likely.length, "more moment"));
    if (!rest.length) return;
    const less = action(
      `${number(rest.length)} less likely`,
      () => {
        less.remove();
        add(rest);
        links.get(rest[0].segment_id).focus();
      },
      { class: "text" },
    );
    node.append(less);
  }

  function add(more) {
    hits = [...hits, ...more];
    list.append(...more.map((moment) => el("li", {}, linkTo(moment))));
  }

  function linkTo(moment) {
    const goal = { ...state, video: moment.video_id, segment: moment.segment_id, at: moment.start.toFixed(2) };
    const link = el(
      "a",
      { href: address.href(goal), "aria-label": `At ${spoken(moment.start)}, ${moment.match ?? "score"}. Play` },
      el("span", { class: "moment-when" }, span(moment.start, moment.end)),
      sureness(moment),
    );
    link.addEventListener(
      "click",
      plainClick(() => address.go(goal, { inside: true })),
    );
    links.set(moment.segment_id, link);
    return link;
  }

  return { node, hits: () => hits, linkOf: (segmentId) => links.get(segmentId) };
}
