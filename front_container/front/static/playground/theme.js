// Applies the chosen theme before the first paint. A classic script, since modules run after it.
const chosen = localStorage.getItem("axon.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
