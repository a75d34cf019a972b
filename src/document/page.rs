//! The frame of a page: one file that requests nothing, runs no script, and is readable on paper, on a telephone, in the dark and
//! by ear.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::lang::{Lang, Words, words};

const STYLE: &str = include_str!("page.css");
/// Nothing is requested: the style and the drawings are in the file.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

const SKIP: Words = words("Skip to the content", "본문으로 건너뛰기");
const CONTENTS: Words = words("Contents", "목차");

/// A page.
pub(crate) struct Page {
    pub(crate) lang: Lang,
    pub(crate) title: String,
    /// Below the title: what the page is about, and as of when.
    pub(crate) about: Markup,
    pub(crate) sections: Vec<Section>,
    /// At the end.
    pub(crate) footer: Markup,
}

/// A section, which the contents link to.
pub(crate) struct Section {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) body: Markup,
}

impl Page {
    /// The page as HTML.
    pub(crate) fn render(self) -> String {
        let Self { lang, title, about, sections, footer } = self;
        let page = html! {
            (DOCTYPE)
            html lang=(lang.tag()) {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    meta name="referrer" content="no-referrer";
                    meta name="format-detection" content="telephone=no, date=no, address=no";
                    // a browser would request an icon otherwise
                    link rel="icon" href="data:,";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#content" { (SKIP.to(lang)) }
                    header {
                        h1 { (title) }
                        (about)
                        nav aria-label=(CONTENTS.to(lang)) {
                            ul { @for section in &sections { li { a href={ "#" (section.id) } { (section.title) } } } }
                        }
                    }
                    main #content tabindex="-1" {
                        @for section in &sections {
                            section #(section.id) aria-labelledby={ (section.id) "-title" } {
                                h2 #{ (section.id) "-title" } { (section.title) }
                                (section.body)
                            }
                        }
                    }
                    footer { (footer) }
                }
            }
        };
        page.into_string()
    }
}
