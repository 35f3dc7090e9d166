// The library: what is in it, what could not be read and why, and the work on it.

import { makeAddFolder } from "./addFolder.js";
import * as address from "./address.js";
import * as api from "./api.js";
import { bdi, el, icon } from "./dom.js";
import { clock, counted, fileName, fullPath, number, visible } from "./format.js";
import { makeJobs } from "./jobs.js";
import { copiesOf, factsOf } from "./libraryFacts.js";
import { action, message, trouble } from "./states.js";

const FAILURES_SHOWN = 50;
const SOON_MS = 1500;
const NEAR = { rootMargin: "500px" };

/** The library view. `changed(overview)` is called whenever the library was looked at anew. */
export function makeLibrary({ changed }) {
  const jobs = makeJobs({ over: jobOver });
  const adding = makeAddFolder({ started: jobs.add });
  const head = el("div", { class: "library-head" });
  const folderList = el("div");
  const update = el("div", { class: "folders-update" });
  // The form is there once: who types in it is not disturbed when the rest is drawn anew.
  const folders = el(
    "section",
    { class: "folders", "aria-labelledby": "folders-title" },
    el("h2", { id: "folders-title" }, "Folders"),
    folderList,
    adding.node,
    update,
  );
  folders.hidden = true;
  const failures = el("section", { class: "failures", "aria-labelledby": "failures-title" });
  const shelf = el("section", { class: "shelf", "aria-labelledby": "shelf-title" });
  const node = el("div", { class: "library" }, head, jobs.node, folders, failures, shelf);
  let running = null;
  let under = "";

  async function run(state) {
    running?.abort();
    running = new AbortController();
    under = state.under;
    if (!head.firstChild)
      head.replaceChildren(el("h1", {}, "Library"), el("p", { class: "note" }, "Looking \u2026"));
    await Promise.all([refresh(), jobs.start()]);
  }

  /** The service reads what a job made a little later: look twice. */
  function jobOver() {
    const mine = running;
    refresh();
    window.setTimeout(() => mine === running && !mine?.signal.aborted && refresh(), SOON_MS);
  }

  async function refresh() {
    const mine = running;
    try {
      const overview = await api.overview(mine.signal);
      changed(overview);
      drawHead(overview);
      drawFolders(overview);
      drawFailures(overview);
      if (overview.videos) await drawShelf(mine.signal);
      else shelf.replaceChildren();
    } catch (error) {
      if (api.isAbort(error)) return;
      head.replaceChildren(el("h1", {}, "Library"), trouble(error, refresh));
    }
  }

  function drawHead(overview) {
    const open = head.querySelector("details")?.open;
    head.replaceChildren(el("h1", {}, "Library"), ...factsOf(overview));
    // What a person has unfolded stays so when the library is looked at again.
    const details = head.querySelector("details");
    if (details) details.open = Boolean(open);
  }

  async function work(what, paths, button) {
    if (button) button.disabled = true;
    try {
      jobs.add(await api.startJob(what, paths));
    } catch (error) {
      jobs.trouble(error);
    } finally {
      if (button) button.disabled = false;
    }
  }

  function drawFolders(overview) {
    adding.about(overview);
    const rows = overview.folders.map((folder) => folderRow(folder));
    folders.hidden = false;
    folderList.replaceChildren(
      rows.length
        ? el("ul", { class: "folder-list" }, ...rows)
        : el("p", { class: "note" }, "No folder is in the library yet."),
      copiesOf(overview),
    );
    update.replaceChildren(
      rows.length
        ? action("Look for changes in all folders", (event) => work("update", [], event.currentTarget), {
            class: "text",
          })
        : "",
    );
  }

  function folderRow(folder) {
    const only = el(
      "a",
      { href: address.href({ ...address.EMPTY, view: "library", under: folder.path }), class: "folder-name" },
      icon("folder"),
      bdi(fullPath(folder.path)),
    );
    only.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      address.go({ ...address.EMPTY, view: "library", under: under === folder.path ? "" : folder.path });
    });
    if (under === folder.path) only.setAttribute("aria-current", "true");
    const counts = el(
      "span",
      { class: "folder-counts" },
      counted(folder.videos, "video"),
      folder.failed ? el("span", { class: "bad" }, ` \u00b7 ${number(folder.failed)} not readable`) : "",
    );
    const ways = el("span", { class: "folder-ways" });
    const calm = () =>
      ways.replaceChildren(
        action("Update", (event) => work("update", [folder.path], event.currentTarget), {
          class: "text",
          "aria-label": `Update ${visible(folder.path)}`,
        }),
        action("Remove", sure, {
          class: "text",
          "aria-label": `Remove ${visible(folder.path)} from the library`,
        }),
      );
    const sure = () => {
      const yes = action(
        "Remove from the library",
        (event) => work("remove", [folder.path], event.currentTarget),
        { class: "text bad" },
      );
      ways.replaceChildren(
        el("span", { class: "note" }, "The files stay."),
        yes,
        action("Keep", calm, { class: "text" }),
      );
      yes.focus();
    };
    calm();
    return el("li", {}, only, counts, ways);
  }

  function drawFailures(overview) {
    failures.replaceChildren();
    if (overview.failures.length) {
      failures.append(
        el("h2", { id: "failures-title" }, "Not readable"),
        el("p", { class: "note" }, "These files are left out until they change, or until you try them again."),
        ...filesWithReasons(overview.failures, overview.failed),
        action("Try these again", (event) => work("retry", [], event.currentTarget)),
      );
    }
    if (overview.partial.length) {
      failures.append(
        el("h2", {}, "Read in part"),
        el("p", { class: "note" }, "These are searched as far as they could be read."),
        ...filesWithReasons(overview.partial),
      );
    }
    failures.hidden = !failures.firstChild;
  }

  /** A page of the videos; of a later one the first video gets the focus of the button that asked for it. */
  async function drawShelf(signal, page = "") {
    const answer = await api.videos({ page, limit: 24, under }, signal);
    const tiles = answer.data.map(videoTile);
    const more = answer.next_page ? moreVideos(signal, answer.next_page) : "";
    if (page) {
      const button = shelf.querySelector(".shelf-more");
      const focused = button === document.activeElement;
      shelf.querySelector(".cards").append(...tiles);
      button.replaceWith(more);
      if (focused) tiles[0]?.querySelector("a").focus({ preventScroll: true });
      return;
    }
    const title = el(
      "h2",
      { id: "shelf-title" },
      under ? `${counted(answer.total, "video")} in ` : "All videos",
    );
    if (under) title.append(bdi(fullPath(under)));
    shelf.replaceChildren(title, el("ul", { class: "cards small" }, ...tiles), more);
  }

  /** A button for the next page; who scrolls near it does not have to press it. */
  function moreVideos(signal, page) {
    let loading = false;
    const load = async () => {
      if (loading) return;
      loading = true;
      near.disconnect();
      try {
        await drawShelf(signal, page);
      } catch (error) {
        if (!api.isAbort(error)) jobs.trouble(error);
        loading = false;
      }
    };
    const button = action("More videos", load, { class: "plain shelf-more" });
    const near = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && load(), NEAR);
    near.observe(button);
    return button;
  }

  return {
    node,
    run,
    stop() {
      running?.abort();
      jobs.stop();
    },
  };
}

/** Files with what is wrong with them; `all` of them may be more than are listed. */
function filesWithReasons(files, all = files.length) {
  const shown = files.slice(0, FAILURES_SHOWN);
  const row = (file) =>
    el(
      "li",
      {},
      el("span", { class: "failure-name", title: fullPath(file.path) }, bdi(fullPath(file.path))),
      el("span", { class: "failure-reason" }, visible(file.reason)),
    );
  return [
    el("ul", { class: "failure-list" }, ...shown.map(row)),
    all > shown.length ? el("p", { class: "note" }, `and ${counted(all - shown.length, "more file")}`) : "",
  ];
}

/** A video of the library, not a hit. */
export function videoTile(video) {
  const name = fileName(video.path);
  const goal = { ...address.now(), video: video.video_id, segment: "", at: "" };
  const picture = el("img", {
    class: "picture",
    src: video.thumbnail_url,
    alt: "",
    loading: "lazy",
    decoding: "async",
    width: 320,
    height: 180,
  });
  picture.addEventListener("error", () => picture.classList.add("missing"));
  const link = el(
    "a",
    { class: "open", href: address.href(goal), "aria-label": `${name}, ${clock(video.duration)}. Play` },
    el("span", { class: "frame" }, picture, el("span", { class: "when" }, clock(video.duration))),
    el("span", { class: "title", title: fullPath(video.path) }, bdi(name)),
  );
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button > 0) return;
    event.preventDefault();
    address.go(goal, { inside: true });
  });
  return el("li", { class: "card" }, link);
}

/** What a library that holds nothing shows first. */
export function firstRun(jobs, overview) {
  const adding = makeAddFolder({ started: jobs.add });
  adding.about(overview);
  return el(
    "div",
    { class: "first" },
    message({
      title: "Add a folder of videos",
      lines: [
        "vidsift looks at every video once and remembers what can be seen. " +
          "Nothing leaves this computer, and the files stay as they are.",
      ],
    }),
    adding.node,
    jobs.node,
    el("p", { class: "note" }, "Or in a terminal: ", el("code", {}, "vidsift open ~/Videos")),
  );
}
