// Where the page's parts meet: the address decides what is shown.

import * as address from "./address.js";
import * as api from "./api.js";
import { learnAboutModel } from "./aboutModel.js";
import { el, iconButton } from "./dom.js";
import { makeFilters } from "./filters.js";
import { counted } from "./format.js";
import { makeJobs } from "./jobs.js";
import { listen, makeHelp } from "./keys.js";
import { firstRun, makeLibrary } from "./library.js";
import { makePlayer } from "./player.js";
import { makeResults, titleOf } from "./results.js";
import { makeSaveSearch } from "./savedSearches.js";
import { makeSavedView, savedAtStart } from "./savedView.js";
import { videoTile } from "./shelf.js";
import { home, trouble } from "./states.js";
import { makeSuggestions } from "./suggestions.js";
import { makeTop } from "./top.js";

// How often, and how far apart, to look for the library that a first job has made.
const OPENING_TRIES = 100;
const OPENING_MS = 300;

const main = document.getElementById("main");
const foot = document.getElementById("foot");
const help = makeHelp();
const top = makeTop(document.getElementById("top"), { help: () => help.showModal() });
const filters = makeFilters();
const results = makeResults({
  home: startPage,
  shown: () => player.meet(),
  tagged: () => api.overview().then(learn, () => {}),
  answered: (answer) => filters.learn({ scored: answer.data.map((hit) => hit.match === null) }),
});
const library = makeLibrary({ changed: learn });
const saved = makeSavedView();
const views = { library, saved };
const saver = makeSaveSearch();
const firstJobs = makeJobs({ over: firstDone });
const heading = el("h1", { class: "hidden" }, "Search");
const searchView = el(
  "div",
  { class: "search-view" },
  heading,
  el("div", { class: "row" }, filters.node, saver.node, results.summary),
  results.node,
);
const player = makePlayer(results);
const notices = el("div", { class: "notices" });

document.body.append(player.node, help);
main.append(notices);

/** What the start page shows depends on what is in the library. */
async function startPage(signal) {
  try {
    const overview = await api.overview(signal);
    learn(overview);
    if (!overview.videos) {
      searchView.classList.add("first-run");
      firstJobs.stop();
      await firstJobs.start();
      return firstRun(firstJobs, overview);
    }
    searchView.classList.remove("first-run");
    // Only where there is a rule for what a good match is can the library say what it answers well.
    const suggested = overview.calibrated ? makeSuggestions(api.suggestions(signal)) : "";
    const [newest, keeps] = await Promise.all([api.videos({ limit: 12 }, signal), savedAtStart(signal)]);
    const tiles = el("ul", { class: "cards small" }, ...newest.data.map(videoTile));
    return home(el("section", {}, el("h2", {}, "In the library"), tiles), suggested, keeps);
  } catch (error) {
    if (api.isAbort(error)) return "";
    return trouble(error, () => results.run(address.now()));
  }
}

/** A first job has ended: go on once the service has opened what it made; what went wrong stays to be read. */
async function firstDone(job) {
  if (job?.state !== "done") return;
  for (let tries = 0; tries < OPENING_TRIES; tries += 1) {
    const overview = await api.overview().catch(() => null);
    if (overview?.videos) {
      results.run(address.now());
      return;
    }
    if (tries === 1) firstJobs.note("Opening the library \u2026");
    await new Promise((go) => window.setTimeout(go, OPENING_MS));
  }
  firstJobs.note("No video was found there.");
}

/** Take what the library holds into the filters and the foot. */
function learn(overview) {
  learnAboutModel(overview);
  filters.learn({ folders: overview.folders.map((folder) => folder.path), tags: overview.tags });
  foot.replaceChildren(
    el("span", {}, counted(overview.videos, "video")),
    iconButton("keys", "Keyboard shortcuts", () => help.showModal()),
  );
}

function show(state, before, again) {
  document.title = titleOf(state);
  notices.replaceChildren();
  const view = views[state.view] ?? { node: searchView };
  if (view.node.parentNode !== main) {
    main.replaceChildren(notices, view.node);
    if (before) window.scrollTo({ top: 0 });
    if (state.view !== "search") firstJobs.stop();
    for (const other of Object.values(views)) if (other !== view) other.stop();
  }
  const same = before?.view === state.view && address.asksTheSame(state, before);
  if (view === library) {
    if (!same) library.run(state);
  } else if (view === saved) {
    if (!same || before.collection !== state.collection) saved.run(state);
  } else {
    filters.show(state);
    saver.show(state);
    if (address.asks(state)) firstJobs.stop();
    if (address.asks(state)) searchView.classList.remove("first-run");
    if (!same || again) {
      // The player of a link needs to know its neighbours, but does not wait for them.
      results.run(state);
    }
  }
  player.follow(state, before);
}

window.addEventListener("vidsift:trouble", (event) =>
  notices.replaceChildren(trouble(event.detail.error, null, event.detail.about)),
);

address.onChange(show);
listen({ top, results, help });
show(address.now(), null, false);
// The start page and the library look for themselves.
if (address.now().view === "search" && address.asks(address.now())) api.overview().then(learn, () => {});
if (address.now().view === "search" && !address.now().video && !address.asks(address.now())) top.focus();
