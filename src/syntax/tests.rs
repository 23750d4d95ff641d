use super::Language;
use super::parse::check;
use crate::domain::code::Problem;

/// For each language a source that is fine, and the same with a mistake: its line, and where in the line.
const SAMPLES: [(Language, &str, &str, u32, u32); 8] = [
    (
        Language::Python,
        "import os\n\n\nclass Fixer:\n    async def fix(self, *paths: str) -> dict[str, int]:\n        return {path: os.stat(path).st_size for path in paths if (size := 1)}\n",
        "import os\n\n\nclass Fixer:\n    def fix(self):\n        return 1 + )\n",
        6,
        20,
    ),
    (
        Language::JavaScript,
        "import x from 'y';\n\nexport const f = async (a, ...b) => {\n  const { c } = await a?.d ?? `${b}`;\n  return <p>{c}</p>;\n};\n",
        "import x from 'y';\n\nconst a = 1;\nlet y = ;\n",
        4,
        7,
    ),
    (
        Language::TypeScript,
        "interface A<T> { readonly x: T; y?: string }\n\nexport const a = { x: 1 } satisfies A<number>;\nconst b = <any>a;\n",
        "interface A { x: number }\n\nconst a: = 1;\n",
        3,
        8,
    ),
    (
        Language::Rust,
        "use std::fmt;\n\nfn f<'a, T: fmt::Debug>(t: &'a T) -> impl Fn() -> u8 + 'a {\n    let Some(x) = g(t) else { panic!(\"{t:?}\") };\n    move || x\n}\n",
        "fn main() {\n    let x = 1;\n    let y = ;\n}\n",
        3,
        11,
    ),
    (
        Language::Go,
        "package main\n\nimport \"fmt\"\n\nfunc f[T any](xs ...T) (n int, err error) {\n\tdefer fmt.Println(xs)\n\tfor range xs {\n\t\tn++\n\t}\n\treturn\n}\n",
        "package main\n\nfunc main() {\n\tx := )\n}\n",
        4,
        7,
    ),
    (
        Language::Bash,
        "#!/usr/bin/env bash\nset -euo pipefail\nfor file in \"$@\"; do\n  [[ -n ${file##*/} ]] && cat <<EOF | tee out.txt\n$file $((1 + 2))\nEOF\ndone\n",
        "#!/bin/bash\nset -e\necho )\n",
        3,
        6,
    ),
    (
        Language::Sql,
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL);\n\nSELECT a.id, count(*)\nFROM t a\nLEFT JOIN u ON u.id = a.id\nWHERE a.name LIKE 'x%'\nGROUP BY a.id;\n",
        "SELECT 1;\n\nSELECT (a FROM t;\n",
        3,
        10,
    ),
    (
        Language::Json,
        "{\n  \"a\": [1, -2.5e3, \"\\u00e9\", null],\n  \"b\": {}\n}\n",
        "{\n  \"a\": 1,\n  \"b\": ,\n  \"c\": 3\n}\n",
        3,
        7,
    ),
];

#[test]
fn source_that_is_fine_has_no_problems() {
    for (language, fine, ..) in SAMPLES {
        assert_eq!(check(language, fine), [], "{language:?}");
        assert_eq!(check(language, &fine.replace('\n', "\r\n")), [], "{language:?} with CRLF");
        assert_eq!(check(language, &format!("\u{feff}{fine}")), [], "{language:?} with a byte order mark");
    }
}

#[test]
fn a_mistake_is_found_where_it_is() {
    for (language, _, wrong, line, column) in SAMPLES {
        let problems = check(language, wrong);
        let first = problems.first().unwrap_or_else(|| panic!("{language:?}: nothing found"));
        assert_eq!((first.line, first.column), (line, column), "{language:?}: {problems:?}");
    }
}

#[test]
fn columns_are_counted_in_characters() {
    let problems = |source: &str| check(Language::JavaScript, source);
    for source in ["let é = '🦀'; )", "\u{feff}let é = '🦀'; )", "let e = 'x'; )"] {
        assert_eq!(problems(source).last().map(|problem| problem.column), Some(14), "{source}");
    }
    assert_eq!(problems("let a;\r\nlet b = ;\r\n")[0].line, 2, "CRLF ends one line");
}

#[test]
fn what_a_grammar_takes_beyond_its_language_is_refused() {
    for source in ["", " ", "1 2", "{} {}", "// a comment\n1", "[1, /* 2 */ 3]", "{'a': 1}", "[1,]"] {
        assert_ne!(check(Language::Json, source), [], "{source}");
    }
    for source in ["if x:\nprint(1)\n", "def f():\n", "while x:\n    # nothing\ny = 1\n"] {
        assert_ne!(check(Language::Python, source), [], "{source}");
    }
}

#[test]
fn at_most_fifty_problems_are_told_and_none_is_long() {
    let problems = check(Language::Json, &format!("[{}1]", "'x',\n".repeat(1_000)));
    assert!((1..=50).contains(&problems.len()), "{}", problems.len());
    let long = check(Language::JavaScript, &format!("let a = {};\n", "@".repeat(10_000)));
    assert!(long.iter().all(|Problem { message, .. }| message.chars().count() < 100), "{long:?}");
}

#[test]
fn empty_source_is_fine_where_an_empty_program_is() {
    for language in Language::ALL.into_iter().filter(|language| *language != Language::Json) {
        assert_eq!(check(language, ""), [], "{language:?}");
    }
}
