"use strict";

for (const viewer of document.querySelectorAll(".viewer")) prepare(viewer);

function prepare(viewer) {
  const stage = viewer.querySelector(".stage");
  const pane = viewer.querySelector(".window");
  const canvas = viewer.querySelector(".canvas");
  const divider = viewer.querySelector(".divider");
  const range = viewer.querySelector("input[type=range]");
  const loupe = viewer.querySelector(".loupe");
  const mark = viewer.querySelector(".spot");
  const looking = viewer.querySelector("[name^=loupe]");
  const badges = viewer.querySelectorAll(".badge");
  const levels = viewer.querySelector(".scale-bar");
  let left = canvas.querySelector(".left");
  let right = canvas.querySelector(".right");
  let width = 1;
  let height = 1;
  // Where the loupe is, in pixels of the picture.
  let spot = { x: 0, y: 0 };

  // What a button stands for: two pictures with the divider between them, or one alone.
  function show(view) {
    const of = (kind) => canvas.querySelector(`[data-kind="${kind}"]`);
    right = view.right ? of(view.right) : null;
    left = of(view.left);
    for (const image of canvas.querySelectorAll("img")) image.className = "";
    left.className = right ? "left" : "alone";
    if (right) right.className = "right";
    badges[0].textContent = left.dataset.caption;
    badges[1].textContent = right ? right.dataset.caption : "";
    for (const one of [badges[1], divider, range]) one.hidden = !right;
    if (right) range.setAttribute("aria-label", `Divider between ${left.dataset.name} and ${right.dataset.name} on ${viewer.dataset.name}`);
    levels.hidden = !view.levels;
    levels.querySelector(".most").textContent = view.levels;
    split();
    look();
  }

  // The pictures that are there now, which have a size of their own.
  function take() {
    width = Number(canvas.dataset.width);
    height = Number(canvas.dataset.height);
    canvas.style.aspectRatio = `${width} / ${height}`;
    // Beside the divider's handle.
    spot = { x: 0.4 * width, y: 0.4 * height };
    layOut();
  }

  function zoom() {
    const chosen = viewer.querySelector("[name^=zoom]:checked").value;
    if (chosen !== "fit") return Number(chosen);
    const room = Math.min(stage.clientWidth / width, stage.clientHeight / height);
    // Whole pixels, where that does not make the picture much smaller.
    return room < 2 ? room : Math.floor(room);
  }

  // The part of the picture that can be seen, in pixels of the screen from the stage's left.
  function visible() {
    const start = canvas.getBoundingClientRect().left - stage.getBoundingClientRect().left;
    return { start, from: Math.max(0, start), to: Math.min(pane.clientWidth, start + canvas.clientWidth) };
  }

  function split() {
    const { start, from, to } = visible();
    const place = from + ((to - from) * range.value) / 100;
    divider.style.left = `${place}px`;
    canvas.style.setProperty("--split", `${place - start}px`);
    range.setAttribute("aria-valuetext", `${range.value} % ${left.dataset.name}`);
  }

  function layOut() {
    const factor = zoom();
    // The point of the picture that is in the middle of the stage stays there.
    const across = (pane.scrollLeft + pane.clientWidth / 2 - canvas.offsetLeft) / canvas.clientWidth;
    const down = (pane.scrollTop + pane.clientHeight / 2 - canvas.offsetTop) / canvas.clientHeight;
    canvas.style.width = `${width * factor}px`;
    canvas.classList.toggle("whole", Number.isInteger(factor));
    pane.classList.toggle("pannable", pannable());
    pane.scrollLeft = across * canvas.clientWidth - pane.clientWidth / 2;
    pane.scrollTop = down * canvas.clientHeight - pane.clientHeight / 2;
    split();
    look();
  }

  function pannable() {
    return pane.scrollWidth > pane.clientWidth || pane.scrollHeight > pane.clientHeight;
  }

  function divideAt(event) {
    const { from, to } = visible();
    const place = event.clientX - stage.getBoundingClientRect().left;
    range.value = (100 * (place - from)) / (to - from);
    split();
  }

  // Both pictures around the spot, beside each other, with every pixel to be seen.
  function look() {
    loupe.hidden = mark.hidden = !looking.checked;
    pane.classList.toggle("looking", looking.checked);
    if (!looking.checked) return;
    const larger = Math.max(4, 2 * zoom());
    const panes = loupe.querySelectorAll("canvas");
    panes[1].hidden = !right;
    const side = panes[0].clientWidth / larger;
    for (const [index, image] of [left, right].entries()) if (image) magnify(panes[index], image, side);
    const factor = canvas.clientWidth / width;
    mark.style.left = `${(spot.x - side / 2) * factor}px`;
    mark.style.top = `${(spot.y - side / 2) * factor}px`;
    mark.style.width = mark.style.height = `${side * factor}px`;
    placeLoupe(factor, side);
  }

  function magnify(target, image, side) {
    target.width = target.height = Math.round(target.clientWidth * devicePixelRatio);
    const context = target.getContext("2d");
    context.imageSmoothingEnabled = false;
    if (!image.complete || !image.naturalWidth) return;
    context.drawImage(image, spot.x - side / 2, spot.y - side / 2, side, side, 0, 0, target.width, target.height);
  }

  // Above the spot, where no hand is, or below it at the upper edge of the viewer.
  function placeLoupe(factor, side) {
    const origin = canvas.getBoundingClientRect();
    const frame = viewer.getBoundingClientRect();
    const x = origin.left - frame.left + spot.x * factor;
    const y = origin.top - frame.top + spot.y * factor;
    const gap = (side * factor) / 2 + 16;
    const above = y - gap - loupe.offsetHeight;
    const room = viewer.clientWidth - loupe.offsetWidth;
    loupe.style.left = `${Math.min(Math.max(x - loupe.offsetWidth / 2, 0), room)}px`;
    loupe.style.top = `${above >= 0 ? above : y + gap}px`;
  }

  function lookAt(x, y) {
    spot = { x: Math.min(Math.max(x, 0), width), y: Math.min(Math.max(y, 0), height) };
    look();
  }

  function lookUnder(event) {
    if (!looking.checked) return;
    const place = canvas.getBoundingClientRect();
    const factor = canvas.clientWidth / width;
    lookAt((event.clientX - place.left) / factor, (event.clientY - place.top) / factor);
  }

  function moveLoupe(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[event.key];
    if (!looking.checked || !step) return;
    event.preventDefault();
    const far = event.shiftKey ? 1 : 8;
    lookAt(spot.x + far * step[0], spot.y + far * step[1]);
    mark.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function pan(event) {
    pane.scrollLeft -= event.movementX;
    pane.scrollTop -= event.movementY;
  }

  // Follow the pointer until it is let go.
  function follow(element, event, move) {
    element.setPointerCapture(event.pointerId);
    element.addEventListener("pointermove", move);
    const stop = () => element.removeEventListener("pointermove", move);
    for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, stop, { once: true });
  }

  divider.addEventListener("pointerdown", (event) => follow(divider, event, divideAt));
  canvas.addEventListener("pointerdown", (event) => {
    // A finger moves the loupe, where there is one.
    if (looking.checked && event.pointerType !== "mouse") return;
    if (!pannable()) {
      divideAt(event);
      follow(canvas, event, divideAt);
    } else if (event.pointerType === "mouse") {
      follow(canvas, event, pan);
    }
  });
  range.addEventListener("input", split);
  pane.addEventListener("scroll", () => {
    split();
    look();
  });
  for (const moved of ["pointermove", "pointerdown"]) stage.addEventListener(moved, lookUnder);
  pane.addEventListener("keydown", moveLoupe);
  for (const image of canvas.querySelectorAll("img")) image.addEventListener("load", look);
  viewer.addEventListener("change", (event) => {
    if (event.target.name.startsWith("view")) show(event.target.dataset);
    if (event.target.name.startsWith("zoom")) layOut();
    if (event.target === looking) look();
  });
  viewer.addEventListener("replaced", (event) => {
    take();
    show(event.detail);
  });
  new ResizeObserver(layOut).observe(stage);
  take();
}
