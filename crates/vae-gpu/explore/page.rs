//! The page: its parts in `assets/explore` as one document and one script, without a tool of their own.

/// A part of the script, an ES module.
struct Module {
    name: &'static str,
    text: &'static str,
}

macro_rules! asset {
    ($name:literal) => {
        include_str!(concat!("../../../assets/explore/", $name))
    };
}

macro_rules! modules {
    ($($name:literal)*) => {
        &[$(Module { name: $name, text: asset!($name) }),*]
    };
}

const HTML: &str = asset!("explore.html");
pub(super) const STYLE: &str = asset!("explore.css");
/// Each is behind those that it imports.
const MODULES: &[Module] = modules![
    "numbers.js" "colours.js" "passes.js" "likelihood.js" "webgpu.js" "decoder.js" "sources.js" "pictures.js" "plane.js"
    "scatter.js" "overlay.js" "gestures.js" "choices.js" "colouring.js" "hover.js" "sliders.js" "selection.js" "walk.js" "upload.js"
    "app.js" "main.js"
];

/// The page that a server sends, which asks for style and script.
pub(super) fn served() -> String {
    let script = "<script type=\"module\" src=\"explore.js\"></script>";
    HTML.replace("{{head}}", "<link rel=\"stylesheet\" href=\"explore.css\">")
        .replace("{{body}}", script)
}

/// The page as one file with everything in it: `frozen` is JSON. It may load nothing, not even from where it is.
pub(super) fn frozen(frozen: &str) -> String {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; \
                  form-action 'none'";
    let head = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n<style>\n{STYLE}</style>"
    );
    // No text in it can end the element early.
    let frozen = frozen.replace('<', "\\u003c");
    let body = format!(
        "<script type=\"application/json\" id=\"frozen\">{frozen}</script>\n<script type=\"module\">\n{}</script>",
        script()
    );
    HTML.replace("{{head}}", &head).replace("{{body}}", &body)
}

/// All modules as one script. Each becomes a function that is called once and gives back what it exports, so that names of one do
/// not meet those of another; the last stands for itself.
pub(super) fn script() -> String {
    let last = MODULES.len() - 1;
    let modules = MODULES.iter().enumerate().map(|(index, module)| {
        let (text, exports) = module.plain();
        if index == last {
            return text;
        }
        let (name, exports) = (variable(module.name), exports.join(", "));
        format!("const {name} = (() => {{\n{text}return {{ {exports} }};\n}})();\n\n")
    });
    modules.collect()
}

/// The variable that holds what a module exports.
fn variable(name: &str) -> String {
    format!("module_{}", name.trim_end_matches(".js"))
}

impl Module {
    /// Its text with imports as constants and without the word `export`; and the names of what it exports.
    fn plain(&self) -> (String, Vec<&'static str>) {
        let mut exports = Vec::new();
        let lines = self.text.lines().map(|line| {
            if let Some((names, from)) = import(line) {
                return format!("const {{ {names} }} = {};\n", variable(from));
            }
            let Some(line) = line.strip_prefix("export ") else {
                return format!("{line}\n");
            };
            exports.extend(declared(line));
            format!("{line}\n")
        });
        (lines.collect(), exports)
    }
}

/// The names and the file of `import { names } from "./file";`.
fn import(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (names, file) = line.strip_prefix("import { ")?.split_once(" } from \"./")?;
    Some((names, file.strip_suffix("\";")?))
}

/// The name in a declaration.
fn declared(line: &'static str) -> Option<&'static str> {
    let kinds = ["async function ", "function ", "class ", "const "];
    let rest = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_module_stands_behind_those_that_it_imports_and_gets_what_they_export() {
        let mut exported: HashMap<&str, Vec<&str>> = HashMap::new();
        for module in MODULES {
            for line in module.text.lines() {
                if let Some((names, from)) = import(line) {
                    for name in names.split(", ") {
                        assert!(
                            exported[from].contains(&name),
                            "{}: {name} of {from}",
                            module.name
                        );
                    }
                } else {
                    assert!(!line.starts_with("import"), "{}: {line}", module.name);
                }
            }
            let (text, exports) = module.plain();
            let count = module
                .text
                .lines()
                .filter(|line| line.starts_with("export"));
            assert_eq!(exports.len(), count.count(), "{}", module.name);
            assert!(!text.contains("\nexport "), "{}", module.name);
            exported.insert(module.name, exports);
        }
        assert_eq!(exported.len(), MODULES.len());
    }

    #[test]
    fn every_module_of_the_folder_is_in_the_page_and_is_short() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/explore");
        let files = std::fs::read_dir(folder).expect("there");
        let names = files.map(|file| file.expect("readable").file_name());
        let names = names.filter(|name| name.to_string_lossy().ends_with(".js"));
        assert_eq!(names.count(), MODULES.len());
        for module in MODULES {
            let lines = module.text.lines().count();
            assert!(lines < 300, "{}: {lines}", module.name);
            assert!(module.text.starts_with("// "), "{}", module.name);
        }
    }

    #[test]
    fn a_frozen_page_loads_nothing_and_its_data_cannot_end_its_script() {
        let page = frozen("{\"title\":\"</script><b>\"}");
        assert!(page.contains("{\"title\":\"\\u003c/script>\\u003cb>\"}"));
        for outside in [
            "http:",
            "https:",
            "src=",
            "<link rel=\"stylesheet",
            "@import",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(!served().contains("{{") && !page.contains("{{head") && !page.contains("{{body"));
    }
}
