import type { FileRegistry } from '@bufbuild/protobuf'
import { buildContract } from './contract.ts'

/** Builds a contract with every kind of field: `every.v1.Every` and the messages that it contains. */
export function everyFieldContract(): FileRegistry {
  return buildContract({ 'every/v1/every.proto': EVERY, 'every/v1/closed.proto': CLOSED })
}

const SCALARS = ['double', 'float', 'int32', 'int64', 'uint32', 'uint64', 'sint32', 'sint64', 'fixed32', 'fixed64']
  .concat('sfixed32', 'sfixed64', 'bool', 'string', 'bytes')
  .map((type, index) => ({ type, number: index + 1 }))

const KEYS = SCALARS.filter(({ type }) => !['double', 'float', 'bytes'].includes(type))

const WELL_KNOWN = ['Any', 'Duration', 'Empty', 'FieldMask', 'ListValue', 'Struct', 'Timestamp', 'Value']
  .concat('BoolValue', 'BytesValue', 'DoubleValue', 'FloatValue', 'Int32Value', 'Int64Value', 'StringValue')
  .concat('UInt32Value', 'UInt64Value')
  .map((type, index) => ({ type: `google.protobuf.${type}`, name: type.toLowerCase(), number: index + 1 }))

const EVERY = `
  syntax = "proto3";
  package every.v1;
  import "edge/v1/options.proto";
  import "every/v1/closed.proto";
  import "google/protobuf/any.proto";
  import "google/protobuf/duration.proto";
  import "google/protobuf/empty.proto";
  import "google/protobuf/field_mask.proto";
  import "google/protobuf/struct.proto";
  import "google/protobuf/timestamp.proto";
  import "google/protobuf/wrappers.proto";

  message Every {
    Scalars scalars = 1;
    OptionalScalars optional_scalars = 2;
    ScalarLists scalar_lists = 3;
    ScalarMaps scalar_maps = 4;
    MapKeys map_keys = 5;
    WellKnown well_known = 6;
    WellKnownLists well_known_lists = 7;
    WellKnownMaps well_known_maps = 8;
    Enums enums = 9;
    Choice choice = 10;
    Names names = 11;
    Closed closed = 12;
  }

  message Scalars { ${SCALARS.map(({ type, number }) => `${type} a_${type} = ${number};`).join('\n')} }
  message OptionalScalars { ${SCALARS.map(({ type, number }) => `optional ${type} a_${type} = ${number};`).join('\n')} }
  message ScalarLists { ${SCALARS.map(({ type, number }) => `repeated ${type} a_${type} = ${number};`).join('\n')} }
  message ScalarMaps { ${SCALARS.map(({ type, number }) => `map<string, ${type}> a_${type} = ${number};`).join('\n')} }
  message MapKeys { ${KEYS.map(({ type, number }) => `map<${type}, bool> a_${type} = ${number};`).join('\n')} }

  message WellKnown { ${WELL_KNOWN.map(({ type, name, number }) => `${type} ${name} = ${number};`).join('\n')} }
  message WellKnownLists { ${WELL_KNOWN.map(({ type, name, number }) => `repeated ${type} ${name} = ${number};`).join('\n')} }
  message WellKnownMaps { ${WELL_KNOWN.map(({ type, name, number }) => `map<string, ${type}> ${name} = ${number};`).join('\n')} }

  enum Shade {
    SHADE_UNSPECIFIED = 0;
    SHADE_DARK = 1;
    SHADE_NEGATIVE = -1;
  }

  message Enums {
    Shade shade = 1;
    optional Shade optional_shade = 2;
    repeated Shade shade_list = 3;
    map<int32, Shade> shade_map = 4;
    google.protobuf.NullValue null_value = 5;
    repeated google.protobuf.NullValue null_value_list = 6;
  }

  message Choice {
    oneof choice {
      string a_text = 1;
      int64 a_number = 2;
      Choice a_choice = 3;
      Shade a_shade = 4;
      google.protobuf.Value a_value = 5;
      google.protobuf.NullValue a_null = 6;
      google.protobuf.StringValue a_wrapper = 7;
      google.protobuf.Timestamp a_time = 8;
    }
    oneof other {
      bool yes = 9;
      bool no = 10;
    }
    oneof alone { string only = 11; }
  }

  // Names that JavaScript objects inherit, that JSON Pointer escapes, or whose JSON names are irregular.
  message Names {
    string to_string = 1;
    string constructor = 2;
    string _leading = 3;
    string with_1_digit = 4;
    string own_name = 5 [json_name = "a/b~c d"];
    repeated Names has_own_property = 6;
    map<string, Names> map = 7;
    string upper_CASE = 8;
    Names itself = 9;
  }

  message Cookied {
    string text = 1;
    string by_cookie = 2 [(edge.v1.cookie) = { name: "c" }];
  }
`

const CLOSED = `
  syntax = "proto2";
  package every.v1;
  message Closed {
    enum Size { SMALL = 1; LARGE = 5; }
    optional Size size = 1;
    repeated Size size_list = 2;
    map<string, Size> size_map = 3;
    optional int32 with_default = 4 [default = 7];
    optional group Inner = 5 { optional string text = 1; }
  }
`
