"use strict";
(() => {
  const player = document.getElementById("player"), bar = document.getElementById("bar"), says = document.getElementById("says");
  const grid = document.getElementById("grid"), system = document.getElementById("system");
  let recordings = null, current = null;

  function mark(playing) {
    if (current) current.setAttribute("aria-pressed", String(playing));
  }

  function toggle(button) {
    if (button === current && !player.paused) return player.pause();
    if (button !== current) {
      mark(false);
      // read only when first asked for: the page is shown before hundreds of recordings are parsed
      recordings ??= JSON.parse(document.getElementById("recordings").textContent);
      current = button;
      says.textContent = button.getAttribute("aria-label").replace(/^Play /, "");
      bar.hidden = false;
      player.src = recordings[button.dataset.recording];
    }
    button.classList.add("heard");
    player.play().catch(() => mark(false));
  }

  function step(button, rows, columns) {
    const cell = button.closest("td, th"), place = [...cell.parentNode.children].indexOf(cell);
    let row = cell.parentNode, next = place;
    for (;;) {
      next += columns;
      const lines = [...grid.rows];
      row = rows ? lines[lines.indexOf(row) + rows] : row;
      const there = row && row.children[next];
      if (!there) return;
      const found = there.querySelector(".take:not([hidden]) .play, :not(.take) > .play");
      if (found) return found.focus();
    }
  }

  document.addEventListener("click", event => {
    const button = event.target.closest(".play");
    if (button) toggle(button);
  });
  player.addEventListener("play", () => mark(true));
  player.addEventListener("pause", () => mark(false));
  player.addEventListener("ended", () => mark(false));

  if (grid) grid.addEventListener("keydown", event => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const button = event.target.closest(".play");
    if (!moves || !button) return;
    event.preventDefault();
    step(button, ...moves);
  });
  if (system) system.addEventListener("change", () => {
    player.pause();
    for (const take of grid.querySelectorAll(".take")) take.hidden = take.dataset.system !== system.value;
  });
  // browsers keep a form's choice over a reload, but not what it showed
  if (system) system.dispatchEvent(new Event("change"));
})();
