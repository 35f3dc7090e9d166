// The videos of the library, page by page: some of them, in an order.

import * as address from "./address.js";
import * as api from "./api.js";
import { bdi, el } from "./dom.js";
import { makeNameFacet, select, slot } from "./facets.js";
import { clock, counted, fileName, fullPath, visible } from "./format.js";
import { action, message } from "./states.js";
import { pictureLink } from "./tile.js";

const AT_ONCE = 24;
const MOST_AT_ONCE = 500; // that the service gives on a page
const NEAR = { rootMargin: "500px" };

/** Build the shelf; `trouble(error)` shows what went wrong with more of it. */
export function makeShelf({ trouble }) {
  const set = (parts) => address.go({ ...address.now(), ...parts });
  const named = makeNameFacet(set);
  const sorting = slot("sort", {
    key: (state) => state.sort,
    draw: (state) =>
      select("Order", [["By folder", ""], ["Newest first", "date"], ["By name", "name"]], state.sort, (sort) =>
        set({ sort }),
      ),
  });
  const title = el("h2", { id: "shelf-title" });
  const ways = el("div", { class: "shelf-ways", role: "group", "aria-label": "Which videos" }, named.node, sorting.node);
  const tiles = el("ul", { class: "cards small" });
  const below = el("div");
  const node = el("section", { class: "shelf", "aria-labelledby": "shelf-title" });

  let pages = new AbortController();
  let before = "";

  async function show(state, signal) {
    const wanted = { under: state.under, name: state.file, sort: state.sort };
    // A page that is on its way belongs to the list as it was.
    pages.abort();
    pages = new AbortController();
    const mine = AbortSignal.any([pages.signal, signal]);
    // Looked at again, as many are shown as a person has scrolled to.
    const same = JSON.stringify(wanted) === before;
    before = JSON.stringify(wanted);
    const limit = same ? Math.min(Math.max(AT_ONCE, tiles.children.length), MOST_AT_ONCE) : AT_ONCE;
    const answer = await api.videos({ ...wanted, limit }, mine);
    // The fields stay: who types in one is not disturbed.
    if (!node.firstChild) node.append(el("div", { class: "shelf-head" }, title, ways), tiles, below);
    named.show(state);
    sorting.show(state);
    title.replaceChildren(...titleOf(state, answer.total));
    lay(answer.data, same ? [...tiles.children] : []);
    below.replaceChildren(answer.total ? "" : noneOf(set));
    goOn(wanted, answer.next_page, mine);
  }

  /** Put tiles of these videos onto the shelf; those of `old` that are right stay where they are, with the focus. */
  function lay(videos, old) {
    const known = new Map(old.map((tile) => [tile.dataset.facts, tile]));
    for (const [place, video] of videos.entries()) {
      const tile = known.get(JSON.stringify(video)) ?? videoTile(video);
      if (tiles.children[place] !== tile) tiles.insertBefore(tile, tiles.children[place] ?? null);
    }
    while (tiles.children.length > videos.length) tiles.lastChild.remove();
  }

  /** A button for the page that follows; who scrolls near it does not have to press it. */
  function goOn(wanted, page, signal) {
    if (!page) return;
    let loading = false;
    const load = async () => {
      if (loading) return;
      loading = true;
      near.disconnect();
      try {
        const answer = await api.videos({ ...wanted, limit: AT_ONCE, page }, signal);
        const added = answer.data.map(videoTile);
        const focused = more === document.activeElement;
        tiles.append(...added);
        below.replaceChildren();
        goOn(wanted, answer.next_page, signal);
        // The focus of the button that asked for them; who scrolls keeps theirs.
        if (focused) added[0]?.querySelector("a").focus({ preventScroll: true });
      } catch (error) {
        if (!api.isAbort(error)) trouble(error);
        loading = false;
      }
    };
    const more = action("More videos", load, { class: "plain shelf-more" });
    const near = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && load(), NEAR);
    below.replaceChildren(more);
    near.observe(more);
  }

  return { node, show, clear: () => node.replaceChildren() };
}

function titleOf(state, total) {
  if (!state.under && !state.file) return ["All videos"];
  const named = state.file ? [" called \u201c", bdi(visible(state.file)), "\u201d"] : [];
  return [counted(total, "video"), ...named, ...(state.under ? [" in ", bdi(fullPath(state.under))] : [])];
}

function noneOf(set) {
  return message({
    title: "No video is called so here",
    actions: [action("Show all videos", () => set({ file: "", under: "" }))],
  });
}

/** A video of the library, not a hit. */
export function videoTile(video) {
  const name = fileName(video.path);
  const goal = { ...address.now(), video: video.video_id, segment: "", at: "" };
  const label = `${name}, ${clock(video.duration)}. Play`;
  const { link } = pictureLink(goal, video, { when: clock(video.duration), label });
  return el("li", { class: "card", data: { facts: JSON.stringify(video) } }, link);
}
