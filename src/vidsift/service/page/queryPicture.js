// The small picture of a question that is itself a picture.

import { el, icon } from "./dom.js";

const SIDE = 64;
const pictures = new Map();

/** Keep a small copy of an uploaded picture while the page is open; a video gets a symbol. */
export async function keepPicture(uploadId, file) {
  if (!file.type.startsWith("image/")) return;
  try {
    const bitmap = await createImageBitmap(file);
    const scale = SIDE / Math.min(bitmap.width, bitmap.height);
    const canvas = el("canvas", { class: "pill-picture", width: SIDE, height: SIDE, "aria-hidden": "true" });
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    canvas.getContext("2d").drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    bitmap.close();
    pictures.set(uploadId, canvas);
  } catch {
    // A picture that this browser cannot draw may still be one that the service can read.
  }
}

/** Remember what the segment looked like that "more like this" was asked for. */
export function keepThumbnail(segmentId, url) {
  pictures.set(segmentId, el("img", { class: "pill-picture", src: url, alt: "" }));
}

/** The picture of a state's question, or a symbol. */
export function drawPicture(state) {
  return pictures.get(state.like || state.upload) ?? icon(state.like ? "similar" : "picture");
}
