#include "server/worker_secrets.h"

#include "api/secret.h"

namespace sterna::server {

void add_secrets(pool::FunctionConfig& config, const api::FunctionSpec& spec,
                 const registry::SecretValues& values) {
  std::size_t bytes = 0;
  for (const std::string& name : spec.secrets) {
    const auto value = values.find(name);
    if (value == values.end()) continue;
    config.secrets.insert(*value);
    if (!spec.secrets_env) continue;
    bytes += name.size() + value->second.size() + 2;
    if (!api::is_variable_text(value->second)) {
      config.refusal = "secrets_env: the secret " + name + " is not UTF-8 text, so it cannot be a variable";
    } else if (bytes > kMaxSecretVariables) {
      config.refusal = "secrets_env: the secrets together are over " + std::to_string(kMaxSecretVariables) +
                       " bytes, too many for variables; read them from /run/secrets";
    } else {
      config.env.insert(*value);
    }
  }
}

}  // namespace sterna::server
