// Draws with a mouse, a finger or a pen, and sends the drawing as it grows. `element`, `props` and `trigger` are
// Gradio's.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
let last = null;
let waiting = null;

function clear() {
  pen.fillStyle = "black";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
}

function send() {
  clearTimeout(waiting);
  waiting = null;
  props.value = canvas.toDataURL("image/png");
  trigger("input");
}

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  line(event);
});

function line(event) {
  if (last === null) return;
  Object.assign(pen, { strokeStyle: "white", lineWidth: 22, lineCap: "round", lineJoin: "round" });
  pen.beginPath();
  pen.moveTo(...last);
  last = place(event);
  pen.lineTo(...last);
  pen.stroke();
  waiting ??= setTimeout(send, 120);
}

canvas.addEventListener("pointermove", line);
for (const end of ["pointerup", "pointercancel"])
  canvas.addEventListener(end, () => {
    if (last !== null) send();
    last = null;
  });
element.querySelector("button").addEventListener("click", () => {
  clear();
  send();
});
clear();
