"""From installed packages to components: plugins found, admitted, imported and checked. Light."""
