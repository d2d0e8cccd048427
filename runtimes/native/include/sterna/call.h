// The border between a function in C++ and the runtime: plain C, so that code from any compiler can cross it.
// Handlers use function.h.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
struct sterna_bytes_v1 {
  const char* data;
  std::size_t size;
};
struct sterna_call_v1 {
  sterna_bytes_v1 method, path, query, body;
  // Repeated: size of the name and of the value (32 bits each, of this machine), name, value.
  sterna_bytes_v1 headers;
  std::uint32_t header_count;

  void* host;
  // The whole answer. `headers` as above. `content_length` is -1 when parts follow until `end`.
  void (*respond)(void* host, std::uint32_t status, sterna_bytes_v1 headers, std::uint32_t header_count,
                  sterna_bytes_v1 body, int more);
  int (*write)(void* host, sterna_bytes_v1 part);  // waits; 0: the caller is gone
  void (*end)(void* host);                         // of an answer in parts
  void (*fail)(void* host, sterna_bytes_v1 text);
  int (*is_cancelled)(void* host);
};
}
