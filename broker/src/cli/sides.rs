//! Broker and executor side by side: what each enforces, and where they differ.
//!
//! What it is: the broker's scope and profiles held against the executor's
//! inventory, key by key, with what a call in a difference will get.
//! What it is not: a decision. Each side decides by its own, whatever is shown.
//!
//! Invariants: two values are called the same only if they mean the same; one
//! that was too long to be sent whole is compared by its digest.

use std::collections::BTreeSet;

use protocol::event::{Inventory, ScopeRow};
use protocol::limits::TEXT_BYTES_MAX;
use sandbox_profiles::scope::{Fact, FactValue, Standing};
use sandbox_profiles::{ProfileSet, Scope};
use serde_json::{Value, json};

use crate::results::neutralise;

/// What the executor enforces of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Theirs {
    /// This.
    Known(Fact),
    /// Something else than the broker, too long to be sent whole.
    Cut(String),
    /// It didn't say.
    Unsaid,
}

/// One key of the scope on both sides.
#[derive(Debug)]
pub(super) struct KeyRow {
    /// The tool that it holds for; nothing: every tool without its own.
    tool: Option<String>,
    ours: Fact,
    theirs: Theirs,
}

/// One tool on both sides.
#[derive(Debug)]
pub(super) struct ToolRow {
    name: String,
    /// What is different, and what a call will get; nothing where the same.
    difference: Option<&'static str>,
}

/// Both sides.
#[derive(Debug)]
pub(super) struct Sides {
    keys: Vec<KeyRow>,
    tools: Vec<ToolRow>,
    /// Rows that the executor had no room to send.
    left_out: u32,
}

impl Sides {
    /// The broker's scope and profiles beside what the executor told of itself;
    /// nothing of it where it didn't answer.
    pub(super) fn new(scope: &Scope, profiles: &ProfileSet, inventory: Option<&Inventory>) -> Self {
        Self {
            keys: keys(scope, inventory),
            tools: inventory.map_or_else(Vec::new, |inventory| tools(profiles, inventory)),
            left_out: inventory.map_or(0, |inventory| inventory.rows_left_out),
        }
    }

    /// For a person, line by line.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("scope     a call must be within both sides'\n");
        for row in &self.keys {
            let name = row.name();
            text.push_str(&format!("  {name:<28} {}\n", row.ours.value));
            let Some(verdict) = row.verdict() else {
                continue;
            };
            if let Some(theirs) = row.theirs() {
                text.push_str(&format!("    {:<26} {theirs}\n", "executor:"));
            }
            text.push_str(&format!("    {:<26} {verdict}\n", "differs:"));
        }
        for row in &self.tools {
            if let Some(difference) = row.difference {
                text.push_str(&format!("tool      {} differs: {difference}\n", row.name));
            }
        }
        if self.left_out > 0 {
            text.push_str(&format!(
                "          {} more rows of the executor's were too many to send; see `mantlet-executor check`\n",
                self.left_out
            ));
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(KeyRow::json).collect();
        let tools: Vec<Value> = self
            .tools
            .iter()
            .map(|row| json!({ "tool": row.name, "same": row.difference.is_none(), "difference": row.difference }))
            .collect();
        json!({ "scope": keys, "tools": tools, "rows_left_out": self.left_out })
    }
}

impl KeyRow {
    fn name(&self) -> String {
        match &self.tool {
            Some(tool) => format!("{tool}.{}", self.ours.key),
            None => self.ours.key.to_owned(),
        }
    }

    fn theirs(&self) -> Option<String> {
        match &self.theirs {
            Theirs::Known(fact) => Some(fact.value.to_string()),
            Theirs::Cut(text) => Some(format!("{text}...")),
            Theirs::Unsaid => None,
        }
    }

    /// How the broker's value stands to the executor's, where both can be told.
    fn standing(&self) -> Option<Standing> {
        match &self.theirs {
            Theirs::Known(fact) => self.ours.against(fact),
            Theirs::Cut(_) | Theirs::Unsaid => None,
        }
    }

    /// Who is tighter, and what a call in the difference will get; nothing where
    /// there is none.
    fn verdict(&self) -> Option<String> {
        let rule = self.ours.rule();
        let broker = format!(
            "what only the executor allows is refused by the broker ({rule}) and never sent"
        );
        let executor = match self.ours.value {
            // The executor sees addresses alone.
            FactValue::Suffixes(_) => {
                "names are held against the broker's suffixes alone, their addresses against both networks".to_owned()
            }
            FactValue::Denied(_) | FactValue::Ports(_) | FactValue::Flag(_) => format!(
                "what only the broker allows is refused by the executor ({rule}, or ARG7 where the tool would have to be told to leave it out)"
            ),
            FactValue::Allowed(_) | FactValue::Bound(_) => {
                format!("what only the broker allows is refused by the executor ({rule})")
            }
        };
        match (&self.theirs, self.standing()) {
            (Theirs::Unsaid, _) | (Theirs::Known(_), Some(Standing::Same)) => None,
            (Theirs::Known(_), Some(Standing::Tighter)) => {
                Some(format!("the broker is tighter; {broker}"))
            }
            (Theirs::Known(_), Some(Standing::Wider)) => {
                Some(format!("the executor is tighter; {executor}"))
            }
            (Theirs::Known(_), Some(Standing::Apart)) => Some(format!(
                "each allows what the other doesn't; {broker}; {executor}"
            )),
            (Theirs::Cut(_), _) | (Theirs::Known(_), None) => Some(format!(
                "which is tighter can't be told: the executor's list was too long to send; {executor}"
            )),
        }
    }

    fn json(&self) -> Value {
        let tighter = match (&self.theirs, self.standing()) {
            (_, Some(Standing::Tighter)) => Some("broker"),
            (_, Some(Standing::Wider)) => Some("executor"),
            (_, Some(Standing::Apart)) => Some("both"),
            (_, Some(Standing::Same) | None) => None,
        };
        let same = match self.theirs {
            Theirs::Unsaid => None,
            Theirs::Known(_) | Theirs::Cut(_) => Some(self.verdict().is_none()),
        };
        json!({
            "tool": self.tool,
            "key": self.ours.key,
            "broker": self.ours.value.to_string(),
            "executor": self.theirs(),
            "same": same,
            "tighter": tighter,
            "rule": self.ours.rule(),
            "difference": self.verdict(),
        })
    }
}

/// Every key of the general scope, and of each tool that has its own on either
/// side.
fn keys(scope: &Scope, inventory: Option<&Inventory>) -> Vec<KeyRow> {
    let told = Told {
        rows: inventory.map_or(&[][..], |inventory| &inventory.scope),
        is_whole: inventory.is_some_and(|inventory| inventory.rows_left_out == 0),
    };
    let general = scope.facts();
    let mut keys: Vec<KeyRow> = general
        .iter()
        .map(|ours| KeyRow {
            tool: None,
            ours: ours.clone(),
            theirs: told.of("", ours),
        })
        .collect();
    let named = told.rows.iter().map(|row| row.tool.as_str());
    let tools: BTreeSet<&str> = named
        .filter(|tool| !tool.is_empty())
        .chain(scope.tools())
        .collect();
    for tool in tools {
        for ours in scope.for_tool(tool).facts() {
            if told.row(tool, ours.key).is_some() || !general.contains(&ours) {
                let theirs = told.of(tool, &ours);
                let tool = Some(tool.to_owned());
                keys.push(KeyRow { tool, ours, theirs });
            }
        }
    }
    keys
}

/// What the executor told of its scope.
struct Told<'i> {
    rows: &'i [ScopeRow],
    is_whole: bool,
}

impl<'i> Told<'i> {
    fn row(&self, tool: &str, key: &str) -> Option<&'i ScopeRow> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.tool == tool && row.key == key)
    }

    /// What it enforces for that tool where the broker enforces `ours`.
    fn of(&self, tool: &str, ours: &Fact) -> Theirs {
        // What it doesn't tell of a tool is what it tells of all, if it told all.
        let general = self.is_whole.then(|| self.row("", ours.key)).flatten();
        let Some(row) = self.row(tool, ours.key).or(general) else {
            return Theirs::Unsaid;
        };
        if row.digest == ours.digest() {
            return Theirs::Known(ours.clone());
        }
        match Fact::read(&row.key, &row.value) {
            Some(fact) if fact.digest() == row.digest => Theirs::Known(fact),
            Some(_) | None => Theirs::Cut(neutralise::line(&row.value, TEXT_BYTES_MAX)),
        }
    }
}

fn tools(profiles: &ProfileSet, inventory: &Inventory) -> Vec<ToolRow> {
    let ours = profiles.iter().map(|profile| profile.name.as_str());
    let theirs = inventory.tools.iter().map(|tool| tool.name.as_str());
    let names: BTreeSet<&str> = ours.chain(theirs).collect();
    let row = |name: &str| {
        let ours = profiles.iter().find(|profile| profile.name == name);
        let theirs = inventory.tools.iter().find(|tool| tool.name == name);
        let difference = match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours.digest == theirs.profile_digest => None,
            (Some(_), Some(_)) => Some(
                "the profiles are not the same; the executor refuses what its own profile wouldn't render (ARG7)",
            ),
            (Some(_), None) => Some("the executor has no such tool and refuses its calls"),
            (None, _) => Some("only the executor has it; the broker doesn't offer it"),
        };
        ToolRow {
            name: name.to_owned(),
            difference,
        }
    };
    names.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::event::ToolState;
    use sandbox_profiles::load;
    use sandbox_profiles::scope::{ScopeConfig, ToolScopeConfig};

    use super::*;

    fn row(tool: &str, fact: &Fact, bytes: usize) -> ScopeRow {
        let value = fact.value.to_string();
        ScopeRow {
            tool: tool.to_owned(),
            key: fact.key.to_owned(),
            value: value.get(..bytes).unwrap_or(&value).to_owned(),
            digest: fact.digest(),
        }
    }

    fn inventory(scope: &Scope, bytes: usize) -> Inventory {
        let general = scope.facts();
        let mut rows: Vec<_> = general.iter().map(|fact| row("", fact, bytes)).collect();
        for tool in scope.tools() {
            let own = scope.for_tool(tool).facts();
            let own = own.iter().filter(|fact| !general.contains(fact));
            rows.extend(own.map(|fact| row(tool, fact, bytes)));
        }
        let tools = load::built_in().unwrap();
        let tools = tools.iter().map(|profile| ToolState {
            name: profile.name.clone(),
            path: String::new(),
            version: String::new(),
            problem: String::new(),
            profile_digest: profile.digest,
        });
        Inventory {
            mode: "system".into(),
            uid: 1,
            capabilities: Vec::new(),
            landlock_abi: 7,
            kernel: String::new(),
            egress: String::new(),
            runs: (0, 1),
            icmp_sockets: false,
            tools: tools.collect(),
            scope: rows,
            rows_left_out: 0,
        }
    }

    fn scope(networks: &str, own: Option<ToolScopeConfig>) -> Scope {
        let own = own.map(|own| ("nmap".to_owned(), own));
        Scope::new(&ScopeConfig {
            allowed_networks: networks.split(' ').map(ToOwned::to_owned).collect(),
            tools: own.into_iter().collect::<BTreeMap<_, _>>(),
            ..ScopeConfig::default()
        })
        .unwrap()
    }

    fn port(port: &str) -> ToolScopeConfig {
        ToolScopeConfig {
            allowed_ports: Some(vec![port.to_owned()]),
            ..ToolScopeConfig::default()
        }
    }

    #[test]
    fn says_which_side_is_tighter_and_what_a_call_gets() {
        let (wide, narrow, beside) = ("10.0.0.0/8", "10.66.0.0/24", "192.168.0.0/16");
        let cases = [
            (scope(wide, None), scope(wide, None), vec![], "the same"),
            (
                scope(wide, Some(port("22"))),
                scope(wide, Some(port("22"))),
                vec![],
                "the same, of a tool",
            ),
            (
                scope(narrow, None),
                scope(wide, None),
                vec![
                    "the broker is tighter; what only the executor allows is refused by the broker (TGT2)",
                ],
                "the broker's is within the executor's",
            ),
            (
                scope(wide, None),
                scope(narrow, None),
                vec![
                    "the executor is tighter; what only the broker allows is refused by the executor (TGT2)",
                ],
                "the other way round",
            ),
            (
                scope(wide, None),
                scope(beside, None),
                vec!["each allows what the other doesn't"],
                "side by side",
            ),
            (
                scope(wide, Some(port("22"))),
                scope(wide, None),
                vec!["the broker is tighter"],
                "the broker has a table that the executor hasn't",
            ),
            (
                scope(wide, None),
                scope(wide, Some(port("22"))),
                vec!["the executor is tighter"],
                "the executor has one that the broker hasn't",
            ),
        ];
        let tools = load::built_in().unwrap();
        for (ours, theirs, expected, why) in cases {
            let sides = Sides::new(&ours, &tools, Some(&inventory(&theirs, 4096)));
            let got: Vec<_> = sides.keys.iter().filter_map(KeyRow::verdict).collect();
            assert_eq!(got.len(), expected.len(), "{why}: {got:?}");
            for (got, expected) in got.iter().zip(&expected) {
                assert!(got.starts_with(expected), "{why}: {got}");
            }
            assert_eq!(
                sides.text().contains("differs"),
                !expected.is_empty(),
                "{why}"
            );
            assert_eq!(
                ours.digest() == theirs.digest(),
                expected.is_empty(),
                "{why}"
            );
        }
    }

    #[test]
    fn what_was_cut_is_compared_by_digest() {
        let long: Vec<String> = (0..200).map(|net| format!("10.{net}.1.0/24")).collect();
        let (ours, other) = (scope(&long.join(" "), None), scope("10.0.0.0/8", None));
        let tools = load::built_in().unwrap();
        let same = Sides::new(&ours, &tools, Some(&inventory(&ours, 40)));
        assert!(same.keys.iter().all(|row| row.verdict().is_none()));
        let differs = Sides::new(&other, &tools, Some(&inventory(&ours, 40)));
        let said = differs.keys.first().unwrap().verdict().unwrap();
        assert!(said.starts_with("which is tighter can't be told"), "{said}");
    }

    #[test]
    fn a_tool_that_only_one_side_has_or_describes_alike_is_said() {
        let tools = load::built_in().unwrap();
        let ours = scope("10.0.0.0/8", None);
        let mut told = inventory(&ours, 4096);
        assert!(
            !Sides::new(&ours, &tools, Some(&told))
                .text()
                .contains("tool  ")
        );
        for tool in &mut told.tools {
            match tool.name.as_str() {
                "nmap" => tool.profile_digest = [0; 32],
                "ping" => tool.name = "other".into(),
                _ => {}
            }
        }
        let text = Sides::new(&ours, &tools, Some(&told)).text();
        for said in [
            "nmap differs: the profiles are not the same",
            "ping differs: the executor has no such tool",
            "other differs: only the executor has it",
        ] {
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn nothing_is_claimed_of_an_executor_that_did_not_say() {
        let ours = scope("10.0.0.0/8", Some(port("22")));
        let tools = load::built_in().unwrap();
        let silent = Sides::new(&ours, &tools, None);
        assert!(!silent.text().contains("differs"));
        assert!(silent.json()["scope"][0]["same"].is_null());
        let mut told = inventory(&scope("10.0.0.0/8", None), 4096);
        told.rows_left_out = 1;
        let partly = Sides::new(&ours, &tools, Some(&told));
        let own = partly.keys.iter().find(|row| row.tool.is_some()).unwrap();
        assert_eq!(
            own.theirs,
            Theirs::Unsaid,
            "its row may be one that didn't fit"
        );
        assert!(partly.text().contains("1 more rows"));
    }
}
