//! First pass: every entity of a file, nested or flat, with its place, its id and the names it is known by.
//!
//! Made for the readers of the second pass, which find any reference here and need not wait for it.

use std::collections::HashMap;

use super::fields::{Fields, Path, Text};
use super::id::Id;
use super::kind::Kind;
use super::node::{Node, Value};
use super::report::{Place, Report};

/// One entity as it is written.
pub(super) struct Found<'t> {
    pub(super) node: &'t Node,
    pub(super) place: Place,
    pub(super) id: Id,
    /// The entity it is written in.
    pub(super) parent: Option<(Kind, usize)>,
    /// Its position in the model's list; `None` for what is disabled.
    pub(super) position: Option<usize>,
}

/// All entities of a file.
#[derive(Default)]
pub(super) struct Gathered<'t> {
    lists: [List<'t>; Kind::ALL.len()],
}

#[derive(Default)]
struct List<'t> {
    found: Vec<Found<'t>>,
    by_name: HashMap<&'t str, usize>,
    by_id: HashMap<Id, usize>,
}

impl<'t> Gathered<'t> {
    /// Takes every entity of the file whose top is `root`.
    pub(super) fn of(root: &'t Node, report: &Report) -> Self {
        let mut gathered = Self::default();
        let top = report.place("", root.line);
        for kind in Kind::ALL {
            gathered.list(kind, root, &top, None, report);
        }
        gathered.leave_out();
        gathered
    }

    /// Those of a kind, in the order of the model's list.
    pub(super) fn each(&self, kind: Kind) -> impl Iterator<Item = &Found<'t>> {
        self.lists[kind as usize].found.iter()
    }

    pub(super) fn one(&self, kind: Kind, index: usize) -> &Found<'t> {
        &self.lists[kind as usize].found[index]
    }

    /// The entity that a name or an id stands for.
    pub(super) fn find(&self, kind: Kind, key: &str) -> Option<usize> {
        let list = &self.lists[kind as usize];
        list.by_name.get(key).or_else(|| list.by_id.get(&Id::parse(key)?)).copied()
    }

    /// What the entity belongs to: the one it is written in, or the one that `key` names, if any.
    pub(super) fn parent(
        &self,
        found: &Found<'t>,
        fields: &mut Fields<'_>,
        key: &'static str,
        kind: Kind,
    ) -> Option<usize> {
        match found.parent {
            Some((parent, index)) if parent == kind => {
                if let Some((_, at)) = fields.take(key) {
                    let advice = "remove it: the entity belongs to what it is written in";
                    fields.wrong(at, "said twice", advice);
                }
                Some(index)
            }
            _ => self.reference(fields, key, kind),
        }
    }

    /// Likewise, where it must belong to one.
    pub(super) fn owner(
        &self,
        found: &Found<'t>,
        fields: &mut Fields<'_>,
        key: &'static str,
        kind: Kind,
    ) -> Option<usize> {
        let said = found.node.at(key).is_some_and(|node| !matches!(node.value, Value::Null));
        if found.parent.is_none() && !said {
            fields.missing(key, "write the name or the id of what it belongs to");
        }
        self.parent(found, fields, key, kind)
    }

    /// The entity that a field names; a dangling reference is a problem.
    pub(super) fn reference(&self, fields: &mut Fields<'_>, key: &'static str, kind: Kind) -> Option<usize> {
        let (node, at) = fields.take(key)?;
        if let Value::Map(_) = &node.value {
            let name = node.at("id").or_else(|| node.at("name")).and_then(Node::text).unwrap_or("name-or-id");
            let what = "a map where a reference is wanted";
            fields.wrong(at, what, format!("write the name or id alone: `{key}: {name}`"));
            return None;
        }
        let Some(text) = node.text() else {
            fields.wrong(at, "not a reference", "write the name or id as a text");
            return None;
        };
        self.resolve(fields, Text { text, at }, kind)
    }

    /// The entity that a text names.
    pub(super) fn resolve(&self, fields: &Fields<'_>, text: Text<'_>, kind: Kind) -> Option<usize> {
        let found = self.find(kind, text.text);
        if found.is_none() {
            let what = format!("there is no `{}` in {}", super::node::shortened(text.text), kind.list());
            fields.wrong(text.at, what, "write the name or the id of one, or add it");
        }
        found
    }

    fn list(
        &mut self,
        kind: Kind,
        within: &'t Node,
        place: &Place,
        parent: Option<(Kind, usize)>,
        report: &Report,
    ) {
        let Some(node) = within.at(kind.list()) else { return };
        let dot = if place.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", place.path, kind.list());
        let nodes = match &node.value {
            Value::List(nodes) => nodes,
            Value::Null => return,
            other => {
                let what = format!("{} where a list is wanted", other.kind());
                report.add(path, node.line, what, "begin each entity with `- `");
                return;
            }
        };
        self.lists[kind as usize].found.reserve(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let place = report.place(format!("{path}[{index}]"), node.line);
            if let Some(index) = self.entity(kind, node, place, parent, report) {
                for nested in kind.nested() {
                    let place = self.one(kind, index).place.clone();
                    self.list(*nested, node, &place, Some((kind, index)), report);
                }
            }
        }
    }

    fn entity(
        &mut self,
        kind: Kind,
        node: &'t Node,
        place: Place,
        parent: Option<(Kind, usize)>,
        report: &Report,
    ) -> Option<usize> {
        // Tells what is no map.
        let fields = Fields::of(report, Path::Entity(&place), node)?;
        let id = self.id(kind, node, &place, parent, &fields);
        drop(fields);
        let list = &mut self.lists[kind as usize];
        let index = list.found.len();
        if let Some(other) = list.by_id.insert(id, index)
            && node.at("id").is_some()
        {
            let what = format!("the id {id} is already that of {}", list.found[other].place);
            let line = node.at("id").map_or(place.line, |node| node.line);
            report.add(format_args!("{}.id", place.path), line, what, "give each its own");
        }
        if let Some((key, name)) = kind.name().and_then(|key| Some((key, node.at(key)?)))
            && let Some(text) = name.text()
            && kind.is_unique()
            && let Some(other) = list.by_name.insert(text, index)
        {
            let what = format!("`{text}` is already the {key} of {}", list.found[other].place);
            report.add(format_args!("{}.{key}", place.path), name.line, what, "give each its own");
        }
        list.found.push(Found { node, place, id, parent, position: Some(index) });
        Some(index)
    }

    /// The id that is written, or the one Kong makes; where Kong makes a random one, one of the place.
    fn id(
        &self,
        kind: Kind,
        node: &Node,
        place: &Place,
        parent: Option<(Kind, usize)>,
        fields: &Fields<'_>,
    ) -> Id {
        let parent = parent.map(|(kind, index)| (kind, self.one(kind, index).id));
        if let Some(written) = node.at("id") {
            match written.text().map(Id::parse) {
                Some(Some(id)) => return id,
                _ if matches!(written.value, Value::Null) => {}
                _ => fields.report().add(
                    format_args!("{}.id", place.path),
                    written.line,
                    "not a UUID",
                    "write one like 0855b320-0dd2-547d-891d-601e9b38647f, or remove it",
                ),
            }
        }
        Id::derived(kind.list(), &kind.key(node, parent).unwrap_or_else(|| place.path.to_string()))
    }

    /// Services that are not enabled go, their routes with them; the others close up.
    fn leave_out(&mut self) {
        let is_off = |found: &Found<'_>| {
            matches!(found.node.at("enabled").map(|n| &n.value), Some(Value::Bool(false)))
        };
        number(&mut self.lists[Kind::Services as usize].found, is_off);
        let services: Vec<_> = self.each(Kind::Services).map(|service| service.position.is_none()).collect();
        let of_service = |found: &Found<'_>| match found.parent {
            Some((Kind::Services, index)) => Some(index),
            _ => self.find(Kind::Services, found.node.at("service")?.text()?),
        };
        let off: Vec<_> = self
            .each(Kind::Routes)
            .map(|route| of_service(route).is_some_and(|index| services[index]))
            .collect();
        let mut each = off.into_iter();
        number(&mut self.lists[Kind::Routes as usize].found, |_| each.next().unwrap_or(false));
    }
}

fn number(found: &mut [Found<'_>], mut left_out: impl FnMut(&Found<'_>) -> bool) {
    let mut next = 0;
    for found in found {
        found.position = (!left_out(found)).then_some(next);
        next += usize::from(found.position.is_some());
    }
}
