//! Consumers with their groups and credentials.
//! Source: kong/db/schema/entities/consumers.lua, kong/plugins/acl/daos.lua, Kong's page on manual mapping.

use std::collections::{HashMap, HashSet};

use super::kind::Kind;
use super::model::{Consumer, Credential};
use super::node::shortened;
use super::reader::{Reader, tags};

/// Those that could be read.
pub(super) fn consumers(reader: Reader<'_>) -> Vec<Consumer> {
    let mut consumers = Vec::new();
    let mut custom_ids = HashMap::new();
    for found in reader.gathered.each(Kind::Consumers) {
        let Some(mut fields) = reader.fields(Kind::Consumers, found) else { continue };
        let username = fields.text("username");
        let custom_id = fields.text("custom_id");
        if username.is_none() && custom_id.is_none() {
            fields.wrong_all("neither `username` nor `custom_id`", "write at least one of the two");
        }
        if let Some(custom_id) = custom_id
            && let Some(other) = custom_ids.insert(custom_id.text, &found.place)
        {
            let what = format!("`{}` is already the custom_id of {other}", shortened(custom_id.text));
            fields.wrong(custom_id.at, what, "give each its own");
        }
        consumers.push(Consumer {
            place: found.place.clone(),
            id: found.id,
            username: username.map(|text| text.text.into()),
            custom_id: custom_id.map(|text| text.text.into()),
            groups: Vec::new(),
            credentials: Vec::new(),
            header_credentials: Vec::new(),
            tags: tags(&mut fields),
        });
        fields.finish();
    }
    groups(reader, &mut consumers);
    credentials(reader, Kind::MtlsAuthCredentials, &mut consumers, |consumer| &mut consumer.credentials);
    let of_headers = Kind::HeaderCertAuthCredentials;
    credentials(reader, of_headers, &mut consumers, |consumer| &mut consumer.header_credentials);
    consumers
}

fn groups(reader: Reader<'_>, consumers: &mut [Consumer]) {
    let mut seen = HashSet::new();
    for found in reader.gathered.each(Kind::Acls) {
        let Some(mut fields) = reader.fields(Kind::Acls, found) else { continue };
        let owner = reader.gathered.owner(found, &mut fields, "consumer", Kind::Consumers);
        let group = fields.needed_text("group", "write the name of the group");
        tags(&mut fields);
        if let (Some(owner), Some(group)) = (owner, group) {
            if !seen.insert((owner, group.text)) {
                let what = format!("the consumer is in group `{}` already", shortened(group.text));
                fields.wrong(group.at, what, "remove one of the two");
            }
            if let Some(consumer) = consumers.get_mut(owner) {
                consumer.groups.push(group.text.into());
            }
        }
        fields.finish();
    }
}

fn credentials(
    reader: Reader<'_>,
    kind: Kind,
    consumers: &mut [Consumer],
    list: impl Fn(&mut Consumer) -> &mut Vec<Credential>,
) {
    let mut seen = HashMap::new();
    for found in reader.gathered.each(kind) {
        let Some(mut fields) = reader.fields(kind, found) else { continue };
        let owner = reader.gathered.owner(found, &mut fields, "consumer", Kind::Consumers);
        let subject = fields.needed_text("subject_name", "write a name of the certificate: a SAN, or its CN");
        let ca_certificate = super::certificate::authority(reader, &mut fields);
        tags(&mut fields);
        if let (Some(owner), Some(subject)) = (owner, subject) {
            if let Some(other) = seen.insert((subject.text, ca_certificate), &found.place) {
                let what = format!("`{}` is already mapped by {other}", shortened(subject.text));
                fields.wrong(subject.at, what, "map each name to one consumer");
            }
            if let Some(consumer) = consumers.get_mut(owner) {
                let subject_name = subject.text.into();
                list(consumer).push(Credential { id: found.id, subject_name, ca_certificate });
            }
        }
        fields.finish();
    }
}
