//! The specification's CoerceVariableValues, as a check: a variable that is missing or of another type is a request
//! error, found before any resolver runs. async-graphql finds some of them only when a field is executed.
//!
//! Only the check is done here: values stay as they came, and resolvers parse them.

use std::fmt::Write as _;

use async_graphql::parser::types::{BaseType, OperationDefinition, Type};
use async_graphql::{ServerError, Value, Variables};

use crate::domain::limits::GRAPHQL_ERRORS_MAX;
use crate::error::Error;
use crate::graphql::error::{server_error, shortened};

use super::UPLOAD_PREFIX;
use super::input_types::{InputObject, InputType, InputTypes};

/// One error per variable that does not fit its definition.
pub(super) fn check_variables(
    types: &InputTypes,
    operation: &OperationDefinition,
    variables: &Variables,
    upload_count: usize,
) -> Result<(), Vec<ServerError>> {
    let mut errors = Vec::new();
    for definition in &operation.variable_definitions {
        let name = &definition.node.name.node;
        let mut check = Check { types, upload_count, path: vec![Segment::Name(name)] };
        let ty = &definition.node.var_type.node;
        let checked = match variables.get(name) {
            Some(value) => check.value(ty, value),
            None if ty.nullable || definition.node.default_value.is_some() => Ok(()),
            None => Err(check.fault(&format!("a value of type {ty} is required"))),
        };
        if let Err(error) = checked {
            let mut error = server_error(&error);
            error.locations.push(definition.pos);
            errors.push(error);
            if errors.len() == GRAPHQL_ERRORS_MAX.to_usize() {
                break;
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Name(&'a str),
    Index(usize),
}

struct Check<'a> {
    types: &'a InputTypes,
    upload_count: usize,
    /// Where the value stands that is looked at, for the error.
    path: Vec<Segment<'a>>,
}

impl<'a> Check<'a> {
    fn value(&mut self, ty: &'a Type, value: &'a Value) -> Result<(), Error> {
        match (&ty.base, value) {
            (_, Value::Null) if ty.nullable => Ok(()),
            (_, Value::Null) => Err(self.fault(&format!("a value of type {ty} is required, not null"))),
            (BaseType::List(item_type), Value::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.at(Segment::Index(index), item_type, item)?;
                }
                Ok(())
            }
            // One value stands for a list of one.
            (BaseType::List(item_type), value) => self.value(item_type, value),
            (BaseType::Named(name), value) => match self.types.get(name) {
                Some(input_type) => self.named(name, input_type, value),
                // Validation says that there is no such input type.
                None => Ok(()),
            },
        }
    }

    fn at(&mut self, segment: Segment<'a>, ty: &'a Type, value: &'a Value) -> Result<(), Error> {
        self.path.push(segment);
        self.value(ty, value)?;
        self.path.pop();
        Ok(())
    }

    fn named(&mut self, name: &str, input_type: &'a InputType, value: &'a Value) -> Result<(), Error> {
        let fits = match (input_type, value) {
            (InputType::Object(object), Value::Object(_)) => return self.object(name, object, value),
            (InputType::Enum(values), Value::String(value)) if !values.contains(value.as_str()) => {
                return Err(self.fault(&format!("it is not one of the values of {name}")));
            }
            (InputType::Enum(values), Value::Enum(value)) if !values.contains(value) => {
                return Err(self.fault(&format!("it is not one of the values of {name}")));
            }
            (InputType::Upload, Value::String(value)) if !self.is_upload(value) => {
                return Err(self.fault("it must be a file of a multipart request"));
            }
            (InputType::Int, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (InputType::Float, Value::Number(_))
            | (InputType::String | InputType::Upload, Value::String(_))
            | (InputType::Boolean, Value::Boolean(_))
            | (InputType::Id, Value::String(_))
            | (InputType::Enum(_), Value::String(_) | Value::Enum(_))
            | (InputType::Custom, _) => true,
            (InputType::Id, Value::Number(number)) => number.is_i64() || number.is_u64(),
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(self.fault(&format!("a value of type {name} is expected, not {}", kind_of(value))))
        }
    }

    fn object(&mut self, name: &str, object: &'a InputObject, value: &'a Value) -> Result<(), Error> {
        let Value::Object(values) = value else { return Ok(()) };
        if object.is_one_of && (values.len() != 1 || values.values().any(|value| *value == Value::Null)) {
            return Err(self.fault(&format!("{name} takes exactly one field, and not null")));
        }
        for (field, value) in values {
            match object.fields.get(field) {
                Some(ty) => self.at(Segment::Name(field), ty, value)?,
                None => return Err(self.fault(&format!("{name} has no field `{field}`"))),
            }
        }
        match object.required.iter().find(|field| !values.contains_key(*field)) {
            Some(missing) => {
                self.path.push(Segment::Name(missing));
                Err(self.fault("a value is required"))
            }
            None => Ok(()),
        }
    }

    fn is_upload(&self, value: &str) -> bool {
        let index = value.strip_prefix(UPLOAD_PREFIX).and_then(|index| index.parse::<usize>().ok());
        index.is_some_and(|index| index < self.upload_count)
    }

    fn fault(&self, message: &str) -> Error {
        let mut path = String::new();
        for segment in &self.path {
            if !path.is_empty() {
                path.push('.');
            }
            match segment {
                Segment::Name(name) => path.push_str(name),
                Segment::Index(index) => {
                    let _ = write!(path, "{index}");
                }
            }
        }
        let message = shortened(&format!("${path}: {message}"));
        Error::bad_input(path, message)
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Boolean(_) => "a boolean",
        Value::Binary(_) => "binary data",
        Value::Enum(_) => "an enum value",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    }
}
