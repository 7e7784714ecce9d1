"use strict";

for (const viewer of document.querySelectorAll(".viewer")) prepare(viewer);

function prepare(viewer) {
  const stage = viewer.querySelector(".stage");
  const pane = viewer.querySelector(".window");
  const canvas = viewer.querySelector(".canvas");
  const divider = viewer.querySelector(".divider");
  const range = viewer.querySelector("input[type=range]");
  const width = Number(canvas.dataset.width);
  const height = Number(canvas.dataset.height);
  const badges = viewer.querySelectorAll(".badge");
  const levels = viewer.querySelector(".scale-bar");
  let left = canvas.querySelector(".left");

  // What a button stands for: two pictures with the divider between them, or one alone.
  function show(view) {
    const of = (kind) => canvas.querySelector(`[data-kind="${kind}"]`);
    const right = view.right ? of(view.right) : null;
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
    if (!pannable()) {
      divideAt(event);
      follow(canvas, event, divideAt);
    } else if (event.pointerType === "mouse") {
      follow(canvas, event, pan);
    }
  });
  range.addEventListener("input", split);
  pane.addEventListener("scroll", split);
  viewer.addEventListener("change", (event) => {
    if (event.target.name.startsWith("view")) show(event.target.dataset);
    if (event.target.name.startsWith("zoom")) layOut();
  });
  new ResizeObserver(layOut).observe(stage);
  layOut();
}
