"""Wire schemas: what the server encodes, OpenAPI describes and clients decode. See PROTOCOL.md."""
