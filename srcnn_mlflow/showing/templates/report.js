// In the frame that MLflow shows a page in, links within the page lead nowhere by themselves.
for (const link of document.querySelectorAll("a[href^='#']")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById(link.hash.slice(1)).scrollIntoView();
  });
}
