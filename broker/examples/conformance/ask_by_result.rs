//! Questions in the stateless era: a result that asks, and a call that comes
//! again with the answers.
//!
//! What it is: one interpreter, and a table of what each tool asks for, round
//! by round.
//! What it is not: a store. What it must know of the rounds before travels with
//! the client, sealed.
//!
//! Invariants: a state that this process didn't seal for this very tool is
//! refused; an answer that isn't an object counts as none, and is asked for
//! again.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, InputRequest, InputRequiredResult, InputResponses, ListRootsRequest,
    RequestMetaObject,
};
use serde_json::{Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::ask_in_call::{elicitation, sampling};

/// One question.
pub(crate) enum Ask {
    /// A form of one field: its message, and the field's name and type.
    Form(&'static str, &'static str, &'static str),
    /// A prompt for the client's model.
    Model(&'static str),
    /// The client's roots.
    Roots,
}

/// What a tool asks for before it answers.
pub(crate) struct Flow {
    /// Ties a state to its tool.
    pub(crate) name: &'static str,
    /// The questions of each round, by key.
    pub(crate) rounds: &'static [&'static [(&'static str, Ask)]],
    /// Whether a state goes with the questions.
    pub(crate) state: State,
    /// Makes the answer.
    pub(crate) reply: fn(&InputResponses) -> String,
}

/// Whether a flow remembers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The answers say all.
    None,
    /// The round travels with the client; without it, all begins again.
    Sealed,
}

/// How a flow goes on.
pub(crate) enum Step {
    /// With questions.
    Ask(InputRequiredResult),
    /// With its answer.
    Done(String),
}

/// The interpreter of flows, with the key of its seals.
#[derive(Clone)]
pub(crate) struct Asking(Hmac<Sha256>);

impl Asking {
    /// One with a new key.
    ///
    /// # Errors
    ///
    /// When the kernel gives no random bytes.
    pub(crate) fn new() -> Result<Self, String> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| error.to_string())?;
        let mac = Hmac::new_from_slice(&key).map_err(|error| error.to_string())?;
        Ok(Self(mac))
    }

    /// Takes the answers of one round, and asks for the next or is done.
    ///
    /// # Errors
    ///
    /// When the state was not sealed here.
    pub(crate) fn step(
        &self,
        flow: &Flow,
        given: Option<&InputResponses>,
        state: Option<&str>,
        meta: &RequestMetaObject,
    ) -> Result<Step, ErrorData> {
        let asked = state.map(|state| self.open(flow, state)).transpose()?;
        let declared = meta.client_capabilities().unwrap_or_default();
        let nothing = InputResponses::new();
        let given = given.unwrap_or(&nothing);
        // Without the state that it gave out, a flow begins again.
        let (mut round, heard) = match (flow.state, asked) {
            (State::Sealed, None) => (0, &nothing),
            (State::Sealed, Some(round)) => (round, given),
            (State::None, _) => (0, given),
        };
        let mut heard = heard;
        while let Some(asks) = flow.rounds.get(round) {
            let asks = || asks.iter().filter(|(_, ask)| ask.is_for(&declared));
            let answered = |key: &str| heard.get(key).is_some_and(Value::is_object);
            if !asks().all(|(key, _)| answered(key)) {
                let requests = asks()
                    .map(|(key, ask)| Ok(((*key).to_owned(), ask.request()?)))
                    .collect::<Result<_, ErrorData>>()?;
                let state = (flow.state == State::Sealed).then(|| self.seal(flow, round));
                return Ok(Step::Ask(InputRequiredResult::new(Some(requests), state)));
            }
            round = round.saturating_add(1);
            if round < flow.rounds.len() {
                // Answers are for one round; a later one's must be asked for.
                heard = &nothing;
            }
        }
        Ok(Step::Done((flow.reply)(heard)))
    }

    fn seal(&self, flow: &Flow, round: usize) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{} {round}", flow.name).as_bytes());
        let mut sealed = format!("{round}.");
        for byte in mac.finalize().into_bytes() {
            // Writing to a string never fails.
            write!(sealed, "{byte:02x}").ok();
        }
        sealed
    }

    fn open(&self, flow: &Flow, sealed: &str) -> Result<usize, ErrorData> {
        let round = sealed.split('.').next().and_then(|text| text.parse().ok());
        let genuine = |round: &usize| {
            let ours = self.seal(flow, *round);
            bool::from(ours.as_bytes().ct_eq(sealed.as_bytes()))
        };
        round.filter(genuine).ok_or_else(|| {
            ErrorData::invalid_params("requestState is not one that this server gave out", None)
        })
    }
}

impl Ask {
    /// Whether the client can answer such a question at all.
    fn is_for(&self, declared: &ClientCapabilities) -> bool {
        match self {
            Self::Form(..) => declared.elicitation.is_some(),
            Self::Model(_) => declared.sampling.is_some(),
            Self::Roots => declared.roots.is_some(),
        }
    }

    fn request(&self) -> Result<InputRequest, ErrorData> {
        Ok(match self {
            Self::Form(message, field, kind) => {
                let properties = json!({ *field: { "type": kind } });
                let form =
                    json!({ "type": "object", "properties": properties, "required": [field] });
                InputRequest::Elicitation(elicitation(message, form)?)
            }
            Self::Model(prompt) => InputRequest::CreateMessage(sampling(prompt)),
            Self::Roots => InputRequest::ListRoots(ListRootsRequest::default()),
        })
    }
}

const NAME: Ask = Ask::Form("What is your name?", "name", "string");
const CONFIRM: &[(&str, Ask)] = &[("confirm", Ask::Form("Please confirm", "ok", "boolean"))];
const ALL_THREE: &[(&str, Ask)] = &[
    ("user_name", NAME),
    ("greeting", Ask::Model("Generate a greeting")),
    ("client_roots", Ask::Roots),
];

/// What the prompt that asks back asks for.
pub(crate) const CONTEXT_FLOW: Flow = Flow {
    name: "test_input_required_result_prompt",
    rounds: &[&[(
        "user_context",
        Ask::Form("What should it be about?", "context", "string"),
    )]],
    state: State::None,
    reply: |given| {
        format!(
            "A prompt about {}",
            text(given, "/user_context/content/context")
        )
    },
};

/// What the tools ask for.
pub(crate) const TOOL_FLOWS: &[Flow] = &[
    Flow {
        name: "test_input_required_result_elicitation",
        rounds: &[&[("user_name", NAME)]],
        state: State::None,
        reply: |given| format!("Hello, {}!", text(given, "/user_name/content/name")),
    },
    Flow {
        name: "test_input_required_result_sampling",
        rounds: &[&[(
            "capital_question",
            Ask::Model("What is the capital of France?"),
        )]],
        state: State::None,
        reply: |given| text(given, "/capital_question/content/text"),
    },
    Flow {
        name: "test_input_required_result_list_roots",
        rounds: &[&[("client_roots", Ask::Roots)]],
        state: State::None,
        reply: |given| {
            format!(
                "The first root is {}",
                text(given, "/client_roots/roots/0/uri")
            )
        },
    },
    Flow {
        name: "test_input_required_result_request_state",
        rounds: &[CONFIRM],
        state: State::Sealed,
        reply: |_| "state-ok".to_owned(),
    },
    Flow {
        name: "test_input_required_result_tampered_state",
        rounds: &[CONFIRM],
        state: State::Sealed,
        reply: |_| "state-ok".to_owned(),
    },
    Flow {
        name: "test_input_required_result_multiple_inputs",
        rounds: &[ALL_THREE],
        state: State::Sealed,
        reply: |_| "All three answers came.".to_owned(),
    },
    Flow {
        name: "test_input_required_result_multi_round",
        rounds: &[
            &[(
                "step1",
                Ask::Form("Step 1: what is your name?", "name", "string"),
            )],
            &[(
                "step2",
                Ask::Form("Step 2: what is your favourite colour?", "color", "string"),
            )],
        ],
        state: State::Sealed,
        reply: |given| format!("It is {}.", text(given, "/step2/content/color")),
    },
    Flow {
        name: "test_input_required_result_capabilities",
        rounds: &[ALL_THREE],
        state: State::None,
        reply: |_| "All that the client can answer came.".to_owned(),
    },
    Flow {
        name: "test_streaming_elicitation",
        rounds: &[&[("value", Ask::Form("Give a value", "value", "string"))]],
        state: State::None,
        reply: |given| text(given, "/value/content/value"),
    },
];

/// The text at a JSON pointer into the answers; empty where there is none.
fn text(given: &InputResponses, pointer: &str) -> String {
    let all = json!(given);
    let found = all.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}
