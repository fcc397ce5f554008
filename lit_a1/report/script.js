// Only conveniences: everything can be read without this script. Nothing is stored or sent.
document.addEventListener("DOMContentLoaded", () => {
  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 70rem)");
  const fold = () => {
    contents.open = wide.matches;
    contents.querySelector("summary").tabIndex = wide.matches ? -1 : 0;
  };
  wide.addEventListener("change", fold);
  fold();

  // the section being read is the last listed one that begins above the upper third of the window
  const links = [...contents.querySelectorAll("a")];
  const targets = links.map((link) => document.getElementById(link.hash.slice(1)));
  let due = false;
  const mark = () => {
    due = false;
    const current = targets.findLastIndex((target) =>
      target.checkVisibility() && target.getBoundingClientRect().top < innerHeight / 3);
    links.forEach((link, index) =>
      index === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    const nav = contents.parentElement;
    if (current >= 0 && wide.matches) {
      const link = links[current].getBoundingClientRect();
      if (link.top < 0 || link.bottom > innerHeight) nav.scrollTop += link.top - innerHeight / 2;
    }
  };
  addEventListener("scroll", () => {
    if (!due) requestAnimationFrame(mark);
    due = true;
  }, { passive: true });
  mark();

  // a link or an address that leads into the folded appendix opens it
  const appendix = document.querySelector(".appendix");
  const open = (hash) => {
    const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (!target || !appendix.contains(target) || appendix.open) return;
    appendix.open = true;
    target.scrollIntoView();
  };
  document.addEventListener("click", (event) => open(event.target.closest('a[href^="#"]')?.hash ?? ""));
  addEventListener("hashchange", () => open(location.hash));
  open(location.hash);

  const dialog = document.querySelector("dialog");
  const large = dialog.appendChild(new Image());
  for (const image of document.querySelectorAll(".paper img")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    button.title = "Enlarge";
    image.replaceWith(button);
    button.append(image);
    button.addEventListener("click", () => {
      large.src = image.src;
      large.alt = image.alt;
      dialog.showModal();
    });
  }
  dialog.addEventListener("click", () => dialog.close());

  for (const block of navigator.clipboard ? document.querySelectorAll("pre") : []) {
    const text = block.textContent;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block.querySelector("code"));
        button.textContent = "Selected";
      }
    });
    block.append(button);
  }
});
