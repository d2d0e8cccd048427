// {fn}/sandbox: what a function's workers see and may use, and what of it this machine enforces.
#include "gateway/management.h"
#include "gateway/management_request.h"

namespace sterna::gateway {

Management::Answer Management::get_sandbox(const Call& call) {
  const auto function = registry_.find(call.route.space, call.route.function);
  if (!function) return problem(function.error());
  const registry::Version& version = function->active ? *function->active : function->newest;
  return json_reply(200, sandbox_(*function, version));
}

}  // namespace sterna::gateway
