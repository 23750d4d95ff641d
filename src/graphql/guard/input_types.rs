//! The input types of the schema, read from its definition.
//!
//! The definition language is the library's public face; its registry is not, and changes between versions.

use std::collections::{HashMap, HashSet};

use async_graphql::Name;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{InputObjectType, Type, TypeKind, TypeSystemDefinition};

use crate::error::Error;

/// A type that a variable can have.
#[derive(Debug)]
pub(super) enum InputType {
    Int,
    Float,
    String,
    Boolean,
    Id,
    Upload,
    /// A scalar of the schema's own: its resolver knows what is valid.
    Custom,
    Enum(HashSet<Name>),
    Object(InputObject),
}

/// An input object.
#[derive(Debug)]
pub(super) struct InputObject {
    pub(super) fields: HashMap<Name, Type>,
    pub(super) required: Vec<Name>,
    pub(super) is_one_of: bool,
}

/// All of them, by name.
#[derive(Debug)]
pub(super) struct InputTypes(HashMap<Name, InputType>);

impl InputTypes {
    /// Whether the schema has the scalar of uploaded files.
    pub(super) fn has_upload(&self) -> bool {
        self.0.values().any(|input_type| matches!(input_type, InputType::Upload))
    }

    pub(super) fn from_sdl(sdl: &str) -> Result<Self, Error> {
        let schema = parse_schema(sdl)
            .map_err(|error| Error::internal(format_args!("the schema's own definition: {error}")))?;
        let built_in = [
            ("Int", InputType::Int),
            ("Float", InputType::Float),
            ("String", InputType::String),
            ("Boolean", InputType::Boolean),
            ("ID", InputType::Id),
        ];
        let mut types: HashMap<Name, InputType> =
            built_in.into_iter().map(|(name, input_type)| (Name::new(name), input_type)).collect();
        for definition in schema.definitions {
            let TypeSystemDefinition::Type(definition) = definition else { continue };
            let name = definition.node.name.node;
            let input_type = match definition.node.kind {
                TypeKind::Scalar if name == "Upload" => InputType::Upload,
                TypeKind::Scalar => InputType::Custom,
                TypeKind::Enum(enumeration) => InputType::Enum(
                    enumeration.values.into_iter().map(|value| value.node.value.node).collect(),
                ),
                TypeKind::InputObject(object) => {
                    let is_one_of = definition
                        .node
                        .directives
                        .iter()
                        .any(|directive| directive.node.name.node == "oneOf");
                    InputType::Object(InputObject::new(object, is_one_of))
                }
                TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_) => continue,
            };
            types.insert(name, input_type);
        }
        Ok(Self(types))
    }

    pub(super) fn get(&self, name: &Name) -> Option<&InputType> {
        self.0.get(name)
    }
}

impl InputObject {
    fn new(object: InputObjectType, is_one_of: bool) -> Self {
        let required = object
            .fields
            .iter()
            .filter(|field| !field.node.ty.node.nullable && field.node.default_value.is_none());
        let required = required.map(|field| field.node.name.node.clone()).collect();
        let fields =
            object.fields.into_iter().map(|field| (field.node.name.node, field.node.ty.node)).collect();
        Self { fields, required, is_one_of }
    }
}
