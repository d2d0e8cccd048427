#include "cli/reference.h"

#include <gmock/gmock.h>

namespace sterna::cli {
namespace {

using testing::HasSubstr;

CommandNode tree() {
  return {
      .name = "sterna",
      .help = "",
      .flags = {{.names = {"--url"},
                 .value = "URL",
                 .default_text = "here",
                 .variable = "STERNA_URL",
                 .help = "The server"}},
      .positionals = {},
      .commands = {{.name = "versions",
                    .help = "Versions",
                    .flags = {},
                    .positionals = {},
                    .commands = {{.name = "list",
                                  .help = "List them",
                                  .flags = {{.names = {"-q", "--quiet"}, .help = "a|b"}},
                                  .positionals = {{.name = "name", .value = "FUNCTION", .required = true}},
                                  .commands = {}}}}}};
}

TEST(Reference, WritesBetweenTheMarkersOnly) {
  const auto text = with_reference(
      "# Title\n<!-- usage -->\nold\n<!-- end -->\nprose\n<!-- usage: versions list -->\n<!-- end "
      "-->\nmore\n",
      tree());
  ASSERT_TRUE(text) << text.error().detail;
  EXPECT_EQ(
      *text,
      "# Title\n<!-- usage -->\n| flag | |\n|---|---|\n| `--url URL` | The server; default `here`; also "
      "`STERNA_URL` |\n<!-- end -->\nprose\n<!-- usage: versions list -->\n### `sterna versions list "
      "NAME`\nList them.\n\n| flag | |\n|---|---|\n| `-q`, `--quiet` | a\\|b |\n<!-- end -->\nmore\n");
  EXPECT_EQ(with_reference(*text, tree()).value(), *text);
}

TEST(Reference, LeavesFlagsToAnotherDocument) {
  const auto text = with_reference("<!-- usage: versions list without flags -->\n<!-- end -->\n", tree());
  ASSERT_TRUE(text) << text.error().detail;
  EXPECT_THAT(*text, testing::Not(HasSubstr("quiet")));
}

TEST(Reference, MissesNoCommandAndKeepsNone) {
  EXPECT_THAT(with_reference("nothing\n", tree()).error().detail, HasSubstr("versions list"));
  const auto gone = with_reference(
      "<!-- usage: versions list -->\n<!-- end -->\n<!-- usage: gone -->\n<!-- end -->\n", tree());
  EXPECT_THAT(gone.error().detail, HasSubstr("'gone'"));
  const auto open = with_reference("<!-- usage: versions list -->\n", tree());
  EXPECT_THAT(open.error().detail, HasSubstr("<!-- end -->"));
}

}  // namespace
}  // namespace sterna::cli
