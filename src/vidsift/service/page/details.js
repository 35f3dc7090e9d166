// What is known of a video's file, its tags, and the captions that fit it.

import * as api from "./api.js";
import { bdi, el, iconButton, say } from "./dom.js";
import { clock, counted, day, fullPath, part, visible } from "./format.js";

const MOST_CAPTIONS = 5;

/** Build the section; `show(video)` fills it. */
export function makeDetails() {
  const node = el("section", { class: "details", "aria-label": "About the file" });

  function clear() {
    node.replaceChildren();
  }

  function show(video) {
    node.replaceChildren(el("h3", {}, "About the file"), facts(video), tagsOf(video), captionsOf(video));
  }

  return {
    node,
    clear,
    show,
    fail(error) {
      node.replaceChildren(el("p", { class: "note" }, error.detail || error.title));
    },
  };
}

function facts(video) {
  const pairs = [
    ["Length", clock(video.duration)],
    ["Picture", pictureOf(video)],
    ["Changed", day(video.modified)],
    ["Searched in", counted(video.segments, "part")],
    ["Damage", video.damage ? visible(video.damage) : ""],
  ].filter(([, value]) => value);
  const list = el("dl", {}, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const paths = video.paths?.length ? video.paths : [video.path];
  list.append(
    el("dt", {}, paths.length > 1 ? "Files" : "File"),
    el("dd", {}, ...paths.map((path) => el("span", { class: "path" }, bdi(fullPath(path))))),
  );
  return list;
}

function pictureOf({ width, height, fps, codec }) {
  const rate = fps ? `${Math.round(fps * 100) / 100} fps, ` : "";
  return `${width}\u2009\u00d7\u2009${height}, ${rate}${visible(codec)}`;
}

/** The captions of the library that fit the video; asked for when they are wanted. */
function captionsOf(video) {
  const details = el("details", { class: "numbers" }, el("summary", {}, "Captions that fit"));
  const list = el("ol", { class: "captions" });
  details.append(list);
  details.addEventListener(
    "toggle",
    async () => {
      try {
        const { data } = await api.captions(video.video_id, MOST_CAPTIONS);
        list.replaceChildren(
          ...data.map((row) =>
            el("li", {}, bdi(visible(row.caption)), el("span", { class: "score" }, part(row.score, 3))),
          ),
        );
        if (!data.length) list.replaceChildren(el("li", {}, "The library has no captions."));
      } catch (error) {
        list.replaceChildren(el("li", {}, error.detail || error.title));
      }
    },
    { once: true },
  );
  return details;
}

function tagsOf(video) {
  let tags = [...(video.tags ?? [])].sort();
  const list = el("ul", { class: "tags" });
  const input = el("input", {
    type: "text",
    "aria-label": "New tag",
    placeholder: "add a tag",
    maxlength: 100,
    autocomplete: "off",
  });
  const message = el("p", { class: "note", role: "status" });

  async function store(next, words) {
    try {
      await api.setTags(video.video_id, next);
      tags = next;
      message.textContent = "";
      draw();
      say(words);
    } catch (error) {
      message.textContent = error.detail || error.title;
    }
  }

  function draw() {
    list.replaceChildren(
      ...tags.map((tag) =>
        el(
          "li",
          { class: "tag" },
          bdi(visible(tag)),
          iconButton("close", `Remove the tag ${visible(tag)}`, () =>
            store(
              tags.filter((other) => other !== tag),
              "Tag removed",
            ),
          ),
        ),
      ),
    );
  }
  draw();
  const form = el("form", { class: "tag-form" }, input);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const tag = input.value.trim();
    input.value = "";
    if (tag && !tags.includes(tag)) store([...tags, tag].sort(), `Tag ${tag} added`);
  });
  return el("div", { class: "tag-place" }, el("h3", {}, "Tags"), list, form, message);
}
