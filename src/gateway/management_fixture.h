// A management API on an empty registry, for tests.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "api/base64.h"
#include "api/json.h"
#include "gateway/management.h"

namespace sterna::gateway {

inline constexpr std::uint64_t kMaxCodeBytes = 100'000;
inline constexpr std::string_view kMotion = "/spaces/default/functions/motion";

class ManagementFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "management-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    registry_ = std::move(*registry::Registry::open(":memory:", clock_));
    ASSERT_TRUE(registry_->unlock_secrets(root_ / "secrets.key"));
    bundles_ = std::move(*bundle::BundleStore::open(root_ / "bundles"));
    api::SpecRules rules;
    rules.templates = {"python3-http", "python3", "python3.11-http"};
    audit_ = std::move(*audit::AuditLog::open(":memory:", clock_));
    management_ = std::make_unique<Management>(
        *registry_, *bundles_, *audit_, rules, kMaxCodeBytes,
        [](const std::string&) { return FunctionMetrics{7, 2, 1}; },
        [](const std::string&) { return SpaceLoad{.replicas = 2, .memory_mb = 256, .backlog = 5}; },
        [](const auto&, const auto&) { return api::OrderedJson::object(); });
  }
  void TearDown() override {
    EXPECT_TRUE(bundles_->sweep({}));
    std::filesystem::remove_all(root_);
  }

  ManagementReply send(std::string_view method, std::string_view path, std::string body = "",
                       std::string content_type = "", std::string accept = "") {
    ManagementRequest request;
    request.method = method;
    request.path = path.substr(0, path.find('?'));
    if (path.contains('?')) request.query = path.substr(path.find('?') + 1);
    if (!content_type.empty()) request.headers.emplace_back("content-TYPE", std::move(content_type));
    if (!accept.empty()) request.headers.emplace_back("Accept", std::move(accept));
    request.body = std::move(body);
    request.caller = caller_;
    request.address = "192.0.2.1";
    return management_->handle(request);
  }

  // Sends, expects that status, answers the JSON.
  api::Json expect(int status, std::string_view method, std::string_view path, std::string body = "",
                   std::string content_type = "") {
    const ManagementReply reply = send(method, path, std::move(body), std::move(content_type));
    EXPECT_EQ(reply.status, status) << method << " " << path << ": " << reply.body;
    return reply.body.empty() ? api::Json() : api::Json::parse(reply.body);
  }
  std::string reason(int status, std::string_view method, std::string_view path, std::string body = "",
                     std::string content_type = "") {
    return expect(status, method, path, std::move(body), std::move(content_type)).value("reason", "none");
  }

  static std::string header(const ManagementReply& reply, std::string_view name) {
    for (const auto& [key, value] : reply.headers) {
      if (key == name) return value;
    }
    return "";
  }

  static std::string function_with(std::string_view code) {
    return R"({"name":"motion","source":{"code":")" + api::base64_encode(code) + R"("}})";
  }
  api::Json create(std::string_view code = "def handle(req): pass") {
    return expect(201, "POST", "/spaces/default/functions", function_with(code));
  }
  std::ptrdiff_t bundle_count() const {
    return std::distance(std::filesystem::directory_iterator(root_ / "bundles"),
                         std::filesystem::directory_iterator());
  }

  ManualClock clock_;
  auth::GrantPtr caller_ = auth::unchecked_grant();
  std::filesystem::path root_;
  std::unique_ptr<registry::Registry> registry_;
  std::unique_ptr<bundle::BundleStore> bundles_;
  std::unique_ptr<audit::AuditLog> audit_;
  std::unique_ptr<Management> management_;
};

}  // namespace sterna::gateway
