// How many files the server may open, and what of that its clients may take.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace sterna::server {

// Thousands of idle connections need more descriptors than the usual soft limit. Fails with exhausted,
// `out_of_descriptors`, where the hard limit leaves too few for databases, runtimes, and a handful of workers
// and connections.
Status raise_descriptor_limit();

// As many connections as were asked for, but no more than leave a quarter of the descriptors to workers,
// files and callbacks: who floods the door must not keep the house from working.
std::uint64_t connection_limit(std::uint64_t wanted);

}  // namespace sterna::server
