// The library: what is in it, what could not be read and why, and the work on it.

import { makeAddFolder } from "./addFolder.js";
import * as address from "./address.js";
import * as api from "./api.js";
import { bdi, el, icon } from "./dom.js";
import { bytes, clock, counted, fileName, fullPath, number, visible } from "./format.js";
import { makeJobs } from "./jobs.js";
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
    const facts = [
      [number(overview.videos), overview.videos === 1 ? "video" : "videos"],
      [number(overview.segments), "segments"],
      [bytes(overview.bytes_on_disk), "on disk"],
      [number(overview.failed), "not readable"],
    ];
    head.replaceChildren(
      el("h1", {}, "Library"),
      el(
        "dl",
        { class: "big-facts" },
        ...facts.map(([value, name]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
      ),
      !overview.model
        ? ""
        : el(
            "p",
            { class: "note" },
            "Searched with ",
            el("strong", {}, visible(overview.model)),
            overview.method ? ` (${visible(overview.method)})` : "",
            overview.calibrated
              ? "; it can tell when nothing fits."
              : "; not calibrated, so it cannot tell when nothing fits.",
          ),
    );
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
      const shown = overview.failures.slice(0, FAILURES_SHOWN);
      failures.append(
        el("h2", { id: "failures-title" }, "Not readable"),
        el("p", { class: "note" }, "These files are left out until they change, or until you try them again."),
        el(
          "ul",
          { class: "failure-list" },
          ...shown.map((file) =>
            el(
              "li",
              {},
              el("span", { class: "failure-name", title: fullPath(file.path) }, bdi(fullPath(file.path))),
              el("span", { class: "failure-reason" }, visible(file.reason)),
            ),
          ),
        ),
        overview.failures.length > shown.length
          ? el("p", { class: "note" }, `and ${counted(overview.failures.length - shown.length, "more file")}`)
          : "",
        action("Try these again", (event) => work("retry", [], event.currentTarget)),
      );
    }
    if (overview.partial?.length) {
      failures.append(
        el("h2", {}, "Read in part"),
        el(
          "ul",
          { class: "failure-list" },
          ...overview.partial
            .slice(0, FAILURES_SHOWN)
            .map((file) =>
              el(
                "li",
                {},
                el(
                  "span",
                  { class: "failure-name" },
                  bdi(fullPath(file.path)),
                  el("span", { class: "failure-reason" }, visible(file.reason)),
                ),
              ),
            ),
        ),
      );
    }
    failures.hidden = !failures.firstChild;
  }

  async function drawShelf(signal, page = "") {
    const answer = await api.videos({ page, limit: 24, under }, signal);
    const tiles = answer.data.map(videoTile);
    const more = answer.next_page
      ? action(
          "More videos",
          async (event) => {
            event.currentTarget.disabled = true;
            await drawShelf(signal, answer.next_page).catch(
              (error) => !api.isAbort(error) && jobs.trouble(error),
            );
          },
          { class: "plain shelf-more" },
        )
      : "";
    if (page) {
      shelf.querySelector(".shelf-more")?.remove();
      shelf.querySelector(".cards").append(...tiles);
      shelf.append(more);
      tiles[0]?.querySelector("a").focus({ preventScroll: true });
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

  return {
    node,
    run,
    stop() {
      running?.abort();
      jobs.stop();
    },
  };
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
