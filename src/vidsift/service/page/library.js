// The library: what is in it, what could not be read and why, and the work on it.

import { makeAddFolder } from "./addFolder.js";
import * as address from "./address.js";
import * as api from "./api.js";
import { bdi, el, icon, plainClick } from "./dom.js";
import { counted, fullPath, number, visible } from "./format.js";
import { makeJobs } from "./jobs.js";
import { copiesOf, factsOf } from "./libraryFacts.js";
import { makeShelf } from "./shelf.js";
import { action, message, trouble } from "./states.js";

const FAILURES_SHOWN = 50;
const SOON_MS = 1500;

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
  const shelf = makeShelf({ trouble: jobs.trouble });
  const node = el("div", { class: "library" }, head, jobs.node, folders, failures, shelf.node);
  let running = null;
  let shown = address.EMPTY;

  async function run(state) {
    running?.abort();
    running = new AbortController();
    shown = state;
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
      if (overview.videos) await shelf.show(shown, mine.signal);
      else shelf.clear();
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
    const { under } = shown;
    const goal = { ...shown, under: under === folder.path ? "" : folder.path };
    const only = el(
      "a",
      { href: address.href(goal), class: "folder-name" },
      icon("folder"),
      bdi(fullPath(folder.path)),
    );
    only.addEventListener(
      "click",
      plainClick(() => address.go(goal)),
    );
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
