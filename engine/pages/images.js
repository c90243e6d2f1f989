// Images become buttons that enlarge them. An image with data-before is compared with the image of that id by a slider.
{
  const images = [];
  const make = (name, attributes = {}, ...children) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.append(...children);
    return element;
  };
  const button = (text) => make("button", { type: "button" }, text);
  const shown = make("img"), before = make("img"), words = make("figcaption"), slider = make("input", { type: "range", min: 0, max: 100 });
  const compare = make("label", {}, "before | after ", slider), stage = make("div", { className: "stage" }, shown, before);
  const back = button("Previous"), next = button("Next"), close = button("Close");
  const viewer = make("dialog", { className: "viewer" }, make("figure", {}, stage, words), compare, make("p", {}, back, next, close));
  let place = 0;
  const show = (number) => {
    place = (number + images.length) % images.length;
    const image = images[place], other = image.dataset.before && document.getElementById(image.dataset.before);
    shown.src = image.src;
    shown.alt = words.textContent = viewer.ariaLabel = image.alt;
    shown.width = Math.max(image.naturalWidth, Math.min(6 * image.naturalWidth, 720));
    before.hidden = compare.hidden = !other;
    if (other) {
      before.src = other.src;
      before.alt = other.alt;
      slider.value = 50;
      slide();
    }
  };
  const slide = () => { before.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`; }; // left of the place: before
  slider.addEventListener("input", slide);
  back.addEventListener("click", () => show(place - 1));
  next.addEventListener("click", () => show(place + 1));
  close.addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    if (event.target === slider) return;
    if (event.key === "ArrowLeft") show(place - 1);
    if (event.key === "ArrowRight") show(place + 1);
  });
  const adopt = () => {
    for (const image of document.querySelectorAll("main :not(.zoom) > img")) {
      const number = images.push(image) - 1;
      const opener = make("button", { type: "button", className: "zoom", ariaLabel: `Enlarge: ${image.alt}` });
      image.replaceWith(opener);
      opener.append(image);
      opener.addEventListener("click", () => {
        if (!viewer.isConnected) document.body.append(viewer);
        show(number);
        viewer.showModal();
      });
    }
  };
  adopt();
  document.addEventListener("images-added", adopt);
}
