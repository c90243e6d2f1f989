// A button that copies what was recorded.
for (const record of document.querySelectorAll("details > pre")) {
  const button = document.createElement("button"), said = document.createElement("output");
  button.type = "button";
  button.append("Copy");
  record.before(button, said);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(record.textContent);
      said.value = " copied";
    } catch { // pages opened as files may not use the clipboard: select the text instead
      getSelection().selectAllChildren(record);
      said.value = document.execCommand("copy") ? " copied" : " selected: copy it with the keyboard";
    }
  });
}
