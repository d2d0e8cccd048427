// Which of a function's secrets its workers get, and as what.
#pragma once

#include "api/function_spec.h"
#include "pool/function_config.h"
#include "registry/function.h"

namespace sterna::server {

// Of all variables that secrets become, names and values together: they travel in the first frame to the
// worker.
inline constexpr std::size_t kMaxSecretVariables = std::size_t{96} << 10;

// Adds what `spec` lists and `values` hold. With secrets_env a value that cannot be a variable makes the pool
// refuse to start workers, and says which.
void add_secrets(pool::FunctionConfig& config, const api::FunctionSpec& spec,
                 const registry::SecretValues& values);

}  // namespace sterna::server
