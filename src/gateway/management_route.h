// Which resource of the management API a path names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sterna::gateway {

enum class Resource : std::uint8_t {
  kSpaces,         // /spaces
  kSpace,          // /spaces/{space}
  kSigningSecret,  // /spaces/{space}/signing-secret
  kRotateSecret,   // /spaces/{space}/signing-secret/rotate
  kSecrets,        // /spaces/{space}/secrets
  kSecret,         // /spaces/{space}/secrets/{name}
  kFunctions,      // /spaces/{space}/functions
  kFunction,       // /spaces/{space}/functions/{name}, {fn} from here on
  kCode,           // {fn}/code
  kVersions,       // {fn}/versions
  kVersion,        // {fn}/versions/{number}
  kVersionDiff,    // {fn}/versions/{number}/diff/{other}
  kRollback,       // {fn}/rollback
  kTraffic,        // {fn}/traffic
  kSandbox,        // {fn}/sandbox
  kStop,           // {fn}/stop
  kStart,          // {fn}/start
  kApps,           // /spaces/{space}/apps, or /apps: those of the server
  kApp,            // /spaces/{space}/apps/{app}, or /apps/{app}
  kRotateApp,      // /spaces/{space}/apps/{app}/rotate, or /apps/{app}/rotate
  kAudit,          // /spaces/{space}/audit, or /audit: of all spaces and the server
  kOpenApi,        // /openapi.json
};

struct ManagementRoute {
  Resource resource = Resource::kSpaces;
  std::string space;  // of apps of the server empty
  std::string function;
  std::string secret;
  std::string app;  // id or name
  std::int64_t version = 0;
  std::int64_t other_version = 0;
};

// `path` is taken as it stands, but for one slash at its end. nullopt: there is no such resource.
std::optional<ManagementRoute> parse_management_route(std::string_view path);

}  // namespace sterna::gateway
