#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "server/options.h"

namespace sterna::server {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Config good_config() {
  Config config = default_config({.is_root = true,
                                  .home = "/root",
                                  .executable = "/opt/bin/sterna",
                                  .pythons = {"/usr/bin/python3"},
                                  .nodes = {},
                                  .cxx = {}});
  config.auth = Auth::kNone;
  return config;
}

Status apply(Config& config, std::string key, std::string value) {
  return apply_settings(config, std::vector<Setting>{{std::move(key), {std::move(value)}, "here"}});
}

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string folder = testing::TempDir() + "/configXXXXXX";
    folder_ = mkdtemp(folder.data());
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  Result<std::vector<Setting>> read(std::string_view text) {
    std::ofstream(folder_ / "sterna.toml") << text;
    return read_settings_file(folder_ / "sterna.toml");
  }

  std::filesystem::path folder_;
};

TEST(Settings, ListsOfTargetsAndUrlsAreRead) {
  Config config = good_config();
  ASSERT_TRUE(apply(config, "egress_private", "10.1.0.0/16"));
  EXPECT_EQ(private_targets(config).size(), 1U);
  EXPECT_TRUE(apply_settings(
      config, std::vector<Setting>{{"callback_allow", {"127.0.0.0/8", "*.internal"}, "here"}}));
  EXPECT_TRUE(apply(config, "build.pip_index_url", "http://[::1]:8080/simple"));
  EXPECT_TRUE(apply(config, "build.npm_registry", "https://npm.example.org"));
  EXPECT_TRUE(apply(config, "build.npm_registry", ""));
  EXPECT_TRUE(validate(config));
}

TEST(Variables, ThatAreNotKnownAreNamed) {
  const char* const environment[] = {
      "STERNA_MAX_BODY_BYTE=1", "STERNA_MAX_BODY_BYTES=1", "STERNA_URL=x", "PATH=/bin", "STERNA_", nullptr};
  const std::string_view others[] = {"STERNA_URL"};
  EXPECT_THAT(unknown_variables(environment, others), ElementsAre("STERNA_MAX_BODY_BYTE", "STERNA_"));
}

TEST(Settings, SandboxIsBestEffortStrictOrOff) {
  Config config = good_config();
  EXPECT_EQ(config.sandbox, SandboxMode::kBestEffort);
  ASSERT_TRUE(apply(config, "sandbox", "strict"));
  EXPECT_EQ(config.sandbox, SandboxMode::kStrict);
  ASSERT_TRUE(apply(config, "sandbox", "off"));
  EXPECT_EQ(config.sandbox, SandboxMode::kOff);
  EXPECT_FALSE(apply(config, "sandbox", "none"));
}

TEST(Defaults, DependOnTheMachine) {
  const Config root = default_config({.is_root = true,
                                      .home = "/root",
                                      .executable = "/opt/bin/sterna",
                                      .pythons = {"/p"},
                                      .nodes = {"/n"},
                                      .cxx = "/c"});
  EXPECT_EQ(root.data_dir, "/var/lib/sterna");
  EXPECT_EQ(root.runtime_dir, "/opt/lib/sterna/runtimes");
  EXPECT_THAT(root.python, ElementsAre("/p"));
  EXPECT_THAT(root.node, ElementsAre("/n"));
  EXPECT_EQ(root.build.cxx, "/c");
  const Config user = default_config({.is_root = false,
                                      .home = "/home/ada",
                                      .executable = "/opt/bin/sterna",
                                      .pythons = {},
                                      .nodes = {},
                                      .cxx = {}});
  EXPECT_EQ(user.data_dir, "/home/ada/.local/share/sterna");
}

TEST(Defaults, WithoutAHomeTheDataDirectoryHasToBeNamed) {
  Config config = default_config({.is_root = false,
                                  .home = {},
                                  .executable = "/opt/bin/sterna",
                                  .pythons = {"/p"},
                                  .nodes = {},
                                  .cxx = {}});
  const Status refused = validate(config);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().detail.contains("--data-dir")) << refused.error().detail;
  config.data_dir = "/srv/data";
  EXPECT_TRUE(validate(config));
}

TEST(Defaults, OfThisMachineNameAnInterpreterOnce) {
  const Machine machine = Machine::here();
  std::set<std::filesystem::path> real;
  for (const auto& python : machine.pythons) real.insert(std::filesystem::canonical(python));
  EXPECT_EQ(real.size(), machine.pythons.size());
  EXPECT_TRUE(machine.executable.is_absolute());
}

TEST(Options, HaveUniqueKeysVariablesAndFlags) {
  std::set<std::string> names;
  for (const auto& option : options()) {
    EXPECT_TRUE(names.insert(std::string(option.key)).second) << option.key;
    EXPECT_TRUE(names.insert(variable_of(option)).second) << option.key;
    EXPECT_TRUE(names.insert(flag_of(option)).second) << option.key;
  }
}

TEST(Options, NamesComeFromTheKey) {
  const Option* option = find_option("limits.queue_wait_seconds");
  ASSERT_NE(option, nullptr);
  EXPECT_EQ(variable_of(*option), "STERNA_QUEUE_WAIT_SECONDS");
  EXPECT_EQ(flag_of(*option), "--queue-wait-seconds");
}

TEST(Settings, LaterOnesWin) {
  Config config = good_config();
  ASSERT_TRUE(apply(config, "drain_seconds", "5"));
  ASSERT_TRUE(apply(config, "drain_seconds", "1.5"));
  EXPECT_EQ(config.drain, 1500ms);
}

TEST(Settings, PathsAreSeenFromWhereTheServerWasStarted) {
  Config config = good_config();
  config.data_dir = "data";
  config.runtime_dir = "../runtimes";
  config.python = {"venv/bin/python", "/usr/bin/python3"};
  config.node = {"node-22/bin/node"};
  const Config absolute = *with_absolute_paths(config, "/srv/sterna");
  EXPECT_EQ(absolute.data_dir, "/srv/sterna/data");
  EXPECT_EQ(absolute.runtime_dir, "/srv/runtimes");
  EXPECT_THAT(absolute.python, ElementsAre("/srv/sterna/venv/bin/python", "/usr/bin/python3"));
  EXPECT_THAT(absolute.node, ElementsAre("/srv/sterna/node-22/bin/node"));
  config.data_dir = "/srv/data";
  EXPECT_EQ(with_absolute_paths(config, "/elsewhere")->data_dir, "/srv/data");
}

TEST(Settings, AWorkingDirectoryThatIsGoneMattersToRelativePathsOnly) {
  Config config = good_config();
  config.data_dir = "/srv/data";
  config.runtime_dir = "/srv/runtimes";
  config.build.wheels_dir.clear();
  EXPECT_TRUE(with_absolute_paths(config, ""));
  config.python = {"venv/bin/python"};
  const auto refused = with_absolute_paths(config, "");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().detail.contains("venv/bin/python")) << refused.error().detail;
}

TEST(Settings, SetEachKind) {
  Config config = good_config();
  ASSERT_TRUE(apply(config, "listen", "[::1]:0"));
  ASSERT_TRUE(apply(config, "log_format", "json"));
  ASSERT_TRUE(apply(config, "allow_network_host", "true"));
  ASSERT_TRUE(apply(config, "limits.max_body_bytes", "10"));
  ASSERT_TRUE(apply(config, "data_dir", "/srv/data"));
  ASSERT_TRUE(apply_settings(config, std::vector<Setting>{{"python", {"/a", "/b"}, "here"}}));
  EXPECT_EQ(config.listen, (Address{"::1", 0}));
  EXPECT_EQ(config.log_format, log::Format::kJson);
  EXPECT_TRUE(config.allow_network_host);
  EXPECT_EQ(config.limits.max_body_bytes, 10U);
  EXPECT_EQ(config.data_dir, "/srv/data");
  EXPECT_THAT(config.python, ElementsAre("/a", "/b"));
}

struct Refusal {
  const char* key;
  const char* value;
  const char* message;
};

class RefusedSetting : public ::testing::TestWithParam<Refusal> {};

TEST_P(RefusedSetting, SaysWhereAndWhatIsAccepted) {
  Config config = good_config();
  const std::string before = to_toml(config);
  auto status = apply(config, GetParam().key, GetParam().value);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInvalid);
  EXPECT_EQ(status.error().reason, "bad_config");
  EXPECT_THAT(status.error().detail, ::testing::StartsWith("here is "));
  EXPECT_THAT(status.error().detail, HasSubstr(GetParam().message));
  EXPECT_EQ(to_toml(config), before);
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedSetting,
    ::testing::Values(
        Refusal{"listne", "x", "not a known setting"},
        Refusal{"spares", "-1", "here is \"-1\", which is not a number from 0 to 64"},
        Refusal{"spares", "65", "a number from 0 to 64"}, Refusal{"spares", "2x", "a number"},
        Refusal{"spares", "", "a number"}, Refusal{"drain_seconds", "nan", "seconds from 0 to 3600"},
        Refusal{"drain_seconds", "1e9", "seconds from 0 to 3600"}, Refusal{"auth", "basic", "none or oauth2"},
        Refusal{"allow_network_host", "yes", "true or false"}, Refusal{"data_dir", "", "a path"},
        Refusal{"egress_private", "db.internal", "not addresses or CIDRs"},
        Refusal{"callback_allow", "foo/99", "not addresses, CIDRs or host names"},
        Refusal{"callback_allow", "bad host!", "not addresses, CIDRs or host names"},
        Refusal{"build.pip_index_url", "not a url", "a URL: it begins with http:// or https://"},
        Refusal{"build.pip_index_url", "ftp://x", "a URL"},
        Refusal{"build.npm_registry", "http:///x", "a URL"}, Refusal{"listen", "8080", "host:port"},
        Refusal{"listen", "127.0.0.1:65536", "host:port"}, Refusal{"listen", "127.0.0.1:", "host:port"},
        Refusal{"listen", "::1:80", "IPv6 in brackets"}, Refusal{"listen", "example.org:80", "host:port"}));

TEST(Addresses, AreReadAndWritten) {
  for (const char* text : {"127.0.0.1:8080", "[::1]:0", "0.0.0.0:80", "[fe80::1]:65535"}) {
    auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(to_string(*address), text);
  }
  EXPECT_EQ(to_string(parse_address("localhost:1").value()), "127.0.0.1:1");
}

TEST(Addresses, KnowLoopback) {
  for (const char* text : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"}) {
    EXPECT_TRUE(is_loopback(parse_address(text).value())) << text;
  }
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "[::ffff:10.0.0.1]:1"}) {
    EXPECT_FALSE(is_loopback(parse_address(text).value())) << text;
  }
}

TEST(Validation, AcceptsNoAuthOnLoopbackOnly) {
  Config config = good_config();
  EXPECT_TRUE(validate(config));
  config.listen.host = "0.0.0.0";
  auto status = validate(config);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().detail, HasSubstr("--listen 127.0.0.1:8080"));
}

TEST(Validation, AcceptsNoSandboxOnLoopbackOnly) {
  Config config = good_config();
  config.auth = Auth::kOauth2;
  config.sandbox = SandboxMode::kOff;
  EXPECT_TRUE(validate(config));
  config.listen.host = "0.0.0.0";
  auto status = validate(config);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().detail, HasSubstr("--sandbox best_effort"));
}

TEST(Validation, AcceptsTokensOnEveryAddress) {
  Config config = good_config();
  config.auth = Auth::kOauth2;
  EXPECT_TRUE(validate(config));
  config.listen.host = "0.0.0.0";
  EXPECT_TRUE(validate(config));
}

TEST(Validation, NeedsAnInterpreter) {
  Config config = good_config();
  config.python.clear();
  EXPECT_FALSE(validate(config));
}

TEST(Environment, IsReadByTheNamesOfTheOptions) {
  const auto settings = settings_from_environment([](const char* name) -> const char* {
    static const std::map<std::string, const char*, std::less<>> kVariables = {
        {"STERNA_LISTEN", "[::1]:9"}, {"STERNA_PYTHON", "/a,,/b"}, {"STERNA_URL", "http://elsewhere"}};
    auto found = kVariables.find(name);
    return found == kVariables.end() ? nullptr : found->second;
  });
  ASSERT_EQ(settings.size(), 2U);
  EXPECT_EQ(settings[0].key, "listen");
  EXPECT_EQ(settings[0].where, "STERNA_LISTEN");
  EXPECT_THAT(settings[1].values, ElementsAre("/a", "/b"));
}

TEST_F(FileTest, SetsSectionsListsAndNumbers) {
  auto settings = read("listen = '127.0.0.1:0'\npython = ['/a', '/b']\n[limits]\nqueue_wait_seconds = 0.5\n");
  ASSERT_TRUE(settings) << settings.error().detail;
  Config config = good_config();
  ASSERT_TRUE(apply_settings(config, *settings));
  EXPECT_EQ(config.listen.port, 0);
  EXPECT_EQ(config.limits.queue_wait, 500ms);
  EXPECT_THAT(config.python, ElementsAre("/a", "/b"));
}

TEST_F(FileTest, NamesTheLineOfAnUnknownKey) {
  auto settings = read("[limits]\nqueue_length = 1\nqueue_lenght = 1\n");
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().detail, HasSubstr("sterna.toml line 3: unknown key limits.queue_lenght"));
}

TEST_F(FileTest, NamesTheLineOfABadValue) {
  auto settings = read("\nspares = 1979-05-27\n");
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().detail, HasSubstr("sterna.toml line 2: spares must be"));
}

TEST_F(FileTest, NamesTheLineOfBrokenToml) {
  auto settings = read("spares = 1\nlisten = \n");
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().detail, HasSubstr("sterna.toml line 2: "));
}

TEST_F(FileTest, ThatIsMissingIsAnError) {
  auto settings = read_settings_file(folder_ / "absent.toml");
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().detail, HasSubstr("absent.toml"));
}

TEST_F(FileTest, ThatIsAFolderIsAnError) {
  auto settings = read_settings_file(folder_);
  ASSERT_FALSE(settings);
  EXPECT_THAT(settings.error().detail, HasSubstr(folder_.native()));
}

TEST_F(FileTest, ReadsWhatToTomlWrites) {
  Config config = good_config();
  config.limits.queue_wait = 250ms;
  config.data_dir = "/a \"quoted\" \\ folder\n\t\x7F";
  config.secrets_key_file = "/keys/sterna.key";
  config.tls_cert = "/keys/server.pem";
  config.tls_key = "/keys/server.key";
  config.build.cxx = "/usr/bin/c++";
  config.build.wheels_dir = "/wheels";
  auto settings = read(to_toml(config));
  ASSERT_TRUE(settings) << settings.error().detail;
  EXPECT_EQ(settings->size(), options().size());
  Config again;
  ASSERT_TRUE(apply_settings(again, *settings));
  EXPECT_EQ(to_toml(again), to_toml(config));
}

TEST_F(FileTest, KeyFileFollowsFromTheDataDirectoryUnlessItIsSet) {
  Config config = good_config();
  EXPECT_FALSE(to_toml(config).contains("secrets_key_file"));
  config.data_dir = "data";
  EXPECT_EQ(with_absolute_paths(config, "/srv")->secrets_key_file, "/srv/data/secrets.key");
  config.secrets_key_file = "keys/k";
  EXPECT_EQ(with_absolute_paths(config, "/srv")->secrets_key_file, "/srv/keys/k");
}

TEST(Documentation, ListsEveryOption) {
  std::ifstream file(STERNA_SOURCE_DIR "/docs/configuration.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(text.str().contains(options_markdown())) << "put this table into docs/configuration.md:\n"
                                                       << options_markdown();
}

TEST(RateLimits, DefaultsComeFromTheSettings) {
  Config config;
  EXPECT_EQ(space_rate_limit(config).requests_per_second, 0);
  const std::vector<Setting> settings = {
      {.key = "limits.space_requests_per_second", .values = {"0.25"}, .where = "here"},
      {.key = "limits.app_burst", .values = {"9"}, .where = "here"}};
  ASSERT_TRUE(apply_settings(config, settings));
  EXPECT_EQ(space_rate_limit(config).requests_per_second, 0.25);
  EXPECT_EQ(app_rate_limit(config).burst, 9);
  for (const char* bad : {"-1", "x", "1e9", "nan", ""}) {
    const std::vector<Setting> wrong = {
        {.key = "limits.space_requests_per_second", .values = {bad}, .where = "here"}};
    EXPECT_FALSE(apply_settings(config, wrong)) << bad;
  }
}

}  // namespace
}  // namespace sterna::server
