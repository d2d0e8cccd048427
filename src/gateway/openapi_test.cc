#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "gateway/management_fixture.h"
#include "gateway/management_openapi.h"
#include "gateway/management_route.h"

namespace sterna::gateway {
namespace {

const api::Json& document() {
  static const api::Json kDocument = api::Json::parse(kOpenApi);
  return kDocument;
}

void collect(const api::Json& node, std::set<std::string>& references,
             std::multiset<std::string>& operations) {
  if (node.is_array()) {
    for (const api::Json& item : node) collect(item, references, operations);
  }
  if (!node.is_object()) return;
  for (const auto& [key, value] : node.items()) {
    if (key == "$ref") references.insert(value.get<std::string>());
    if (key == "operationId") operations.insert(value.get<std::string>());
    collect(value, references, operations);
  }
}

TEST(OpenApi, ReferencesLeadSomewhereAndEverythingIsUsed) {
  std::set<std::string> references;
  std::multiset<std::string> operations;
  collect(document(), references, operations);
  for (const std::string& reference : references) {
    EXPECT_TRUE(document().contains(api::Json::json_pointer(reference.substr(1)))) << reference;
  }
  for (const auto& [kind, components] : document()["components"].items()) {
    if (kind == "securitySchemes") continue;  // named by the operations, without a reference
    for (const auto& [name, component] : components.items()) {
      EXPECT_TRUE(references.contains(fmt::format("#/components/{}/{}", kind, name))) << name;
    }
  }
  for (const std::string& operation : operations) EXPECT_EQ(operations.count(operation), 1U) << operation;
}

std::string concrete(std::string path) {
  for (const char* parameter : {"{space}", "{name}", "{app}", "{a}", "{b}", "{c}"}) {
    if (const std::size_t at = path.find(parameter); at != std::string::npos) {
      path.replace(at, std::string_view(parameter).size(), "1");
    }
  }
  return path;
}

class OpenApiTest : public ManagementFixture {};

// The scopes of an operation: any of them is enough, none where no token is needed.
auth::ScopeSet described_scopes(const api::Json& operation) {
  auth::ScopeSet any_of;
  for (const api::Json& way : operation["security"]) {
    for (const api::Json& scope : way.value("oauth2", api::Json::array()))
      any_of = any_of | auth::scope_named(scope.get<std::string>());
  }
  return any_of;
}

TEST_F(OpenApiTest, SaysWhichScopesAreNeeded) {
  std::size_t seen = 0;
  for (const auto& [path, item] : document()["paths"].items()) {
    for (const char* method : {"get", "post", "put", "patch", "delete"}) {
      if (!item.contains(method) || !parse_management_route(concrete(path))) continue;
      ++seen;
      std::string upper(method);
      for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
      const auto access = Management::access_of(concrete(path), upper);
      EXPECT_EQ(described_scopes(item[method]), access.any_of) << method << " " << path;
    }
  }
  EXPECT_EQ(seen, 43U);
  const api::Json& scopes =
      document()["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]["scopes"];
  for (const auto& [name, text] : scopes.items()) EXPECT_FALSE(auth::scope_named(name).empty()) << name;
  EXPECT_EQ(scopes.size(), 26U);
}

// Of whatever waits for its turn on the management thread, and of what is written there.
TEST_F(OpenApiTest, SaysWhenManagementIsRefusedForRoom) {
  for (const auto& [path, item] : document()["paths"].items()) {
    for (const char* method : {"get", "post", "put", "patch", "delete"}) {
      if (!item.contains(method) || !parse_management_route(concrete(path))) continue;
      const api::Json& responses = item[method]["responses"];
      EXPECT_TRUE(responses.contains("503") || path == "/openapi.json") << method << " " << path;
      EXPECT_EQ(responses.contains("507"), std::string_view(method) != "get") << method << " " << path;
    }
  }
}

// What the document says of a path is what the server's Allow header says.
TEST_F(OpenApiTest, DescribesEveryMethodOfTheManagementApi) {
  std::size_t seen = 0;
  for (const auto& [path, item] : document()["paths"].items()) {
    if (!parse_management_route(concrete(path))) continue;
    ++seen;
    std::string methods;
    for (const char* method : {"get", "post", "put", "patch", "delete"}) {
      if (!item.contains(method)) continue;
      std::string upper(method);
      for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
      methods += (methods.empty() ? "" : ", ") + upper + (upper == "GET" ? ", HEAD" : "");
    }
    EXPECT_EQ(header(send("OPTIONS", concrete(path)), "Allow"), methods) << path;
  }
  EXPECT_EQ(seen, 26U);
}

TEST_F(OpenApiTest, DescribesTheFieldsOfAFunction) {
  const api::Json function = create();
  const api::Json& properties = document()["components"]["schemas"]["Function"]["properties"];
  for (const auto& [field, value] : function.items()) EXPECT_TRUE(properties.contains(field)) << field;
  EXPECT_EQ(properties.size(), function.size());
  const api::Json& limits = document()["components"]["schemas"]["Limits"]["properties"];
  EXPECT_EQ(limits.size(), function["limits"].size());
  for (const auto& [field, value] : function["limits"].items()) {
    ASSERT_TRUE(limits.contains(field)) << field;
    if (limits[field].contains("default")) EXPECT_EQ(limits[field]["default"], value) << field;
  }
}

TEST_F(OpenApiTest, IsServed) {
  const ManagementReply reply = send("GET", "/openapi.json");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.fixed_body, kOpenApi);
  EXPECT_EQ(document()["openapi"], "3.1.0");
  for (const char* path : {"/healthz", "/readyz", "/metrics", "/spaces/{space}/functions/{name}/logs",
                           "/spaces/{space}/functions/{name}/async-invoke/{a}/{b}/{c}",
                           "/spaces/{space}/functions/{name}/invocations/{id}/redeliver",
                           "/spaces/{space}/functions/{name}/invoke/{a}/{b}/{c}"}) {
    EXPECT_TRUE(document()["paths"].contains(path)) << path;
  }
}

}  // namespace
}  // namespace sterna::gateway
