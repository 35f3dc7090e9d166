// A classic script, run before the first paint: the page never flashes in the other colours.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("vidsift.theme");
  } catch {
    // Storage can be switched off; the system's colours hold then.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
