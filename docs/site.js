// What Material adds to a page when it is open: a name for each row of buttons, of which a page has
// many, and the keyboard's way to the right end of a wide table.
function name_what_was_added() {
  document.querySelectorAll(".md-code__nav:not([aria-label])").forEach((row, number) => {
    const block = row.closest("[id]")?.id ?? number;
    row.setAttribute("aria-label", `Buttons of ${block}`);
  });
  document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach((table) => {
    table.setAttribute("tabindex", "0");
  });
}
new MutationObserver(name_what_was_added).observe(document.body, { childList: true, subtree: true });
name_what_was_added();
