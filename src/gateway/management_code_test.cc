#include <functional>

#include "bundle/archive.h"
#include "gateway/management_fixture.h"

namespace sterna::gateway {
namespace {

using bundle::ArchiveKind;
using bundle::Executable;

class ManagementCodeTest : public ManagementFixture {
 protected:
  const std::string code_ = std::string(kMotion) + "/code";
  const bundle::Files files_ = {{"handler.py", "two", Executable::kNo}, {"run.sh", "x", Executable::kYes}};
};

TEST_F(ManagementCodeTest, PutMakesANewVersionWithTheSameSpec) {
  expect(201, "POST", "/spaces/default/functions", R"({"name":"motion","description":"d"})");
  const api::Json put = expect(200, "PUT", code_, R"({"code":"dHdv"})");
  EXPECT_EQ(put["version"], 2);
  EXPECT_EQ(put["description"], "d");
  EXPECT_EQ(put["status_reason"], "");
  EXPECT_EQ(expect(200, "GET", code_), api::Json::parse(R"({"code":"dHdv"})"));
  expect(200, "PUT", code_, R"({"files":{"handler.py":"dHdv","lib/a.py":""}})");
  EXPECT_EQ(expect(200, "GET", code_)["files"]["lib/a.py"], "");
}

TEST_F(ManagementCodeTest, ArchivesGoInAndComeOut) {
  create();
  const std::string zip = bundle::pack(files_, ArchiveKind::kZip).value();
  const std::string tar = bundle::pack(files_, ArchiveKind::kTarGz).value();
  expect(200, "PUT", code_, zip, "application/zip");
  const ManagementReply as_tar = send("GET", code_, "", "", "text/html, application/gzip;q=0.9");
  EXPECT_EQ(header(as_tar, "Content-Type"), "application/gzip");
  EXPECT_EQ(bundle::unpack(as_tar.body, ArchiveKind::kTarGz, kMaxCodeBytes).value(), files_);
  for (const char* type : {"application/gzip", "application/x-gzip", "application/x-tar+gzip"}) {
    expect(200, "PUT", code_, tar, type);
  }
  const ManagementReply as_zip = send("GET", code_, "", "", "application/zip");
  EXPECT_EQ(header(as_zip, "Content-Disposition"), "attachment; filename=\"motion.zip\"");
  EXPECT_EQ(bundle::unpack(as_zip.body, ArchiveKind::kZip, kMaxCodeBytes).value(), files_);
  EXPECT_EQ(bundle_count(), 2);
}

TEST_F(ManagementCodeTest, TheTypeWithTheMostWeightIsSent) {
  create("one");
  const std::pair<const char*, const char*> cases[] = {
      {"", "application/json"},
      {"*/*", "application/json"},
      {"application/zip, application/gzip", "application/zip"},
      {"application/zip;q=0.1, application/json;q=0.9", "application/json"},
      {"application/zip; q=0.5,application/gzip ;q=0.8", "application/gzip"},
      {"application/zip;q=0", "application/json"},
      {"application/zip;q=0.2, */*;q=0.1", "application/zip"},
      {"application/zip;level=1;Q=0.3, application/*;q=0.4", "application/json"}};
  for (const auto& [accept, type] : cases) {
    const ManagementReply reply = send("GET", code_, "", "", accept);
    EXPECT_EQ(header(reply, "Content-Type"), type) << accept;
    EXPECT_EQ(header(reply, "Vary"), "Accept") << accept;
  }
}

TEST_F(ManagementCodeTest, BadCodeChangesNothing) {
  create("one");
  const std::string folder =
      bundle::pack({{"app/handler.py", "x", Executable::kNo}}, ArchiveKind::kZip).value();
  EXPECT_EQ(reason(422, "PUT", code_, folder, "application/zip"), "handler_missing");
  EXPECT_EQ(reason(422, "PUT", code_, "no zip", "application/zip"), "bad_archive");
  EXPECT_EQ(reason(422, "PUT", code_, R"({"code":"!"})"), "invalid_fields");
  EXPECT_EQ(expect(422, "PUT", code_, R"({"code":"eA==","x":1})")["errors"][0]["field"], "x");
  EXPECT_EQ(reason(415, "PUT", code_, "x", "application/x-tar"), "unsupported_media_type");
  EXPECT_EQ(reason(404, "PUT", "/spaces/default/functions/nobody/code", "{}"), "function_not_found");
  EXPECT_EQ(expect(200, "GET", kMotion)["version"], 1);
  EXPECT_EQ(bundle_count(), 1);
}

// Every way that code comes in.
TEST_F(ManagementCodeTest, LargestCodeIsTheSameHoweverItComes) {
  struct Way {
    std::string_view method;
    std::string path;
    std::string_view type;
    std::function<std::string(const std::string& content)> body;
  };
  const auto code = [](const std::string& content) {
    return api::OrderedJson{{"code", api::base64_encode(content)}};
  };
  const auto files = [](const std::string& content) {
    return api::OrderedJson{
        {"files", {{"handler.py", api::base64_encode("1")}, {"a", api::base64_encode(content.substr(1))}}}};
  };
  const auto function = [](const api::OrderedJson& source) {
    return api::dump(api::OrderedJson{{"name", "motion"}, {"source", source}});
  };
  const auto packed = [](const std::string& content, ArchiveKind kind) {
    return bundle::pack({{"a", content.substr(1), Executable::kNo}, {"handler.py", "1", Executable::kNo}},
                        kind)
        .value();
  };
  const std::string functions = "/spaces/default/functions";
  const std::string motion(kMotion);
  const Way ways[] = {
      {"POST", functions, "", [&](const auto& content) { return function(code(content)); }},
      {"POST", functions, "", [&](const auto& content) { return function(files(content)); }},
      {"PUT", motion, "", [&](const auto& content) { return function(code(content)); }},
      {"PUT", motion, "", [&](const auto& content) { return function(files(content)); }},
      {"PATCH", motion, "", [&](const auto& content) { return function(files(content)); }},
      {"PUT", code_, "", [&](const auto& content) { return api::dump(code(content)); }},
      {"PUT", code_, "", [&](const auto& content) { return api::dump(files(content)); }},
      {"PUT", code_, "application/zip",
       [&](const auto& content) { return packed(content, ArchiveKind::kZip); }},
      {"PUT", code_, "application/gzip",
       [&](const auto& content) { return packed(content, ArchiveKind::kTarGz); }},
  };
  int row = 0;
  for (const Way& way : ways) {
    const bool creates = way.method == "POST";
    if (!creates) static_cast<void>(send("POST", functions, R"({"name":"motion"})"));
    const std::string largest(kMaxCodeBytes, static_cast<char>('a' + row++));
    const ManagementReply refused =
        send(way.method, way.path, way.body(largest + "x"), std::string(way.type));
    EXPECT_EQ(refused.status, 413) << row;
    const api::Json problem = api::Json::parse(refused.body);
    EXPECT_EQ(problem["reason"], "bundle_too_large") << row;
    EXPECT_EQ(problem["detail"], "the code is larger than limits.max_code_bytes (100000), unpacked") << row;
    expect(creates ? 201 : 200, way.method, way.path, way.body(largest), std::string(way.type));
    if (creates) expect(204, "DELETE", motion);
  }
}

TEST_F(ManagementCodeTest, BodiesMayBeAsLargeAsTheCodeInBase64) {
  const std::string functions = "/spaces/default/functions";
  for (const auto& [method, path] : {std::pair<std::string, std::string>{"POST", functions},
                                     {"PUT", std::string(kMotion)},
                                     {"PATCH", std::string(kMotion)},
                                     {"PUT", code_}}) {
    EXPECT_GE(management_->max_body_bytes(path, method),
              api::base64_encode(std::string(kMaxCodeBytes, 'x')).size());
    EXPECT_NE(management_->body_too_large(path, method).detail.find("limits.max_code_bytes (100000)"),
              std::string::npos);
  }
}

TEST_F(ManagementCodeTest, OtherBodiesMayBeOneMebibyte) {
  for (const auto& [method, path] :
       {std::pair<std::string, std::string>{"PUT", "/spaces/default/secrets/KEY"},
        {"POST", "/spaces/default/apps"},
        {"PATCH", "/spaces/default"},
        {"POST", "/spaces"},
        {"POST", std::string(kMotion) + "/rollback"},
        {"PUT", std::string(kMotion) + "/traffic"},
        {"DELETE", std::string(kMotion)},
        {"GET", code_},
        {"POST", "/nothing"}}) {
    EXPECT_EQ(management_->max_body_bytes(path, method), 1U << 20U) << path;
    EXPECT_EQ(management_->body_too_large(path, method).detail,
              "the request body is larger than 1048576 bytes");
  }
}

TEST_F(ManagementCodeTest, VersionsAndRollback) {
  const std::string id = create("one")["id"];
  ASSERT_TRUE(registry_->activate(id, 1, false, "python"));
  expect(200, "PUT", code_, R"({"code":"dHdv"})");
  const api::Json versions = expect(200, "GET", std::string(kMotion) + "/versions");
  ASSERT_EQ(versions["data"].size(), 2U);
  EXPECT_EQ(versions["data"][0]["version"], 2);
  EXPECT_EQ(versions["data"][0]["state"], "pending");
  EXPECT_EQ(versions["data"][1]["state"], "active");
  const std::string rollback = std::string(kMotion) + "/rollback";
  EXPECT_EQ(expect(200, "POST", rollback, R"({"version":1})")["version"], 3);
  EXPECT_EQ(expect(200, "GET", code_)["code"], api::base64_encode("one"));
  EXPECT_EQ(reason(404, "POST", rollback, R"({"version":9})"), "version_not_found");
  EXPECT_EQ(reason(422, "POST", rollback, "{}"), "invalid_fields");
  EXPECT_EQ(reason(422, "POST", rollback, R"({"version":"1"})"), "invalid_fields");
  EXPECT_EQ(reason(422, "POST", rollback, R"({"version":1,"x":2})"), "invalid_fields");
}

TEST_F(ManagementCodeTest, BundlesOfForgottenVersionsAreRemoved) {
  create("0");
  for (int i = 1; i <= 15; ++i) {
    expect(200, "PUT", code_, R"({"code":")" + api::base64_encode(std::to_string(i)) + R"("})");
  }
  EXPECT_EQ(bundle_count(), registry::kKeptVersions);
}

TEST_F(ManagementCodeTest, CodeThatWorkersUseIsRemovedAfterThem) {
  create("0");
  std::optional<std::vector<std::string>> in_use = {
      {bundles_->composed_path(registry_->find_version("default", "motion", 1)->bundle, "layer")}};
  management_->ask_code_in_use([&] { return in_use; });
  const auto deploy = [&](int number) {
    expect(200, "PUT", code_, R"({"code":")" + api::base64_encode(std::to_string(number)) + R"("})");
  };
  for (int i = 1; i <= registry::kKeptVersions; ++i) deploy(i);
  EXPECT_TRUE(management_->keeps_code());
  EXPECT_EQ(bundle_count(), registry::kKeptVersions + 1);
  in_use.reset();
  management_->remove_kept_code();
  EXPECT_EQ(bundle_count(), registry::kKeptVersions + 1) << "nobody can tell";
  in_use.emplace();
  management_->remove_kept_code();
  EXPECT_FALSE(management_->keeps_code());
  EXPECT_EQ(bundle_count(), registry::kKeptVersions);
}

TEST_F(ManagementCodeTest, CodeThatIsDeployedAgainMeanwhileStays) {
  create("0");
  std::optional<std::vector<std::string>> in_use = {
      {bundles_->path_of(registry_->find_version("default", "motion", 1)->bundle)}};
  management_->ask_code_in_use([&] { return in_use; });
  for (int i = 1; i <= registry::kKeptVersions; ++i)
    expect(200, "PUT", code_, R"({"code":")" + api::base64_encode(std::to_string(i)) + R"("})");
  EXPECT_TRUE(management_->keeps_code());
  in_use.emplace();
  expect(200, "PUT", code_, R"({"code":")" + api::base64_encode("0") + R"("})");
  EXPECT_FALSE(management_->keeps_code());
  EXPECT_EQ(expect(200, "GET", code_)["code"], api::base64_encode("0"));
}

}  // namespace
}  // namespace sterna::gateway
